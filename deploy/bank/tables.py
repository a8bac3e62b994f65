"""The tables of the sandbox bank's books; none of them is in the product's schema."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

OUTSIDE: Final = "OUTSIDE"
CLEARING: Final = "CLEARING"

META = sa.MetaData()  # its own: nothing of the bank is in the product's schema
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")

accounts = sa.Table(
    "account",
    META,
    sa.Column("number", sa.String(34), primary_key=True),
    sa.Column("bank", sa.String(12), nullable=False),
    sa.Column("holder", sa.String(140), nullable=False),
    sa.Column("balance_fen", _BIG, nullable=False),
    sa.Column("inside", sa.Boolean, nullable=False, default=False),
    sa.Column("closed", sa.Boolean, nullable=False, default=False),
    sa.CheckConstraint("inside OR balance_fen >= 0", name="covered"),
)
payments = sa.Table(
    "payment",
    META,
    sa.Column("end_to_end_id", sa.String(35), primary_key=True),
    sa.Column("content", sa.String(64), nullable=False),
    sa.Column("payer", sa.String(34), nullable=False),
    sa.Column("payee", sa.String(34), nullable=False),
    sa.Column("amount_fen", _BIG, nullable=False),
    sa.Column("remittance", sa.String(500), nullable=False),
    sa.Column("value_day", sa.Integer, nullable=False),
    sa.Column("status", sa.String(4), nullable=False),
    sa.Column("reason", sa.String(4), nullable=False, default=""),
    sa.Column("text", sa.String(105), nullable=False, default=""),
    sa.Column("received_s", _BIG, nullable=False),
    sa.Column("books_s", _BIG, nullable=False, index=True),
    sa.Column("fate", sa.JSON, nullable=False),
    sa.Column("booked_fen", _BIG),
    sa.Column("reference", sa.String(35), nullable=False, default=""),
)
entries = sa.Table(
    "entry",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(34), nullable=False, index=True),
    sa.Column("amount_fen", _BIG, nullable=False),  # what came in is positive
    sa.Column("end_to_end_id", sa.String(35), nullable=False, index=True),
    sa.Column("remittance", sa.String(500), nullable=False),
    sa.Column("other_name", sa.String(140), nullable=False),
    sa.Column("other_account", sa.String(34), nullable=False),
    sa.Column("value_day", sa.Integer, nullable=False),
    sa.Column("booked_s", _BIG, nullable=False),
    sa.Column("is_reversal", sa.Boolean, nullable=False, default=False),
)
notices = sa.Table(
    "notice",
    META,
    sa.Column("cursor", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.String(34), nullable=False, index=True),
    sa.Column("message", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
deposits = sa.Table(
    "deposit",
    META,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("content", sa.String(64), nullable=False),
    sa.Column("reference", sa.String(35), nullable=False),
)
faults = sa.Table(
    "fault",
    META,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("account", sa.String(34), nullable=False, default=""),
    sa.Column("times", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Integer, nullable=False, default=0),
    sa.Column("delta_fen", _BIG, nullable=False, default=0),
    sa.Column("reason", sa.String(4), nullable=False, default=""),
)
clock = sa.Table(
    "clock",
    META,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("offset_s", _BIG, nullable=False),
)
