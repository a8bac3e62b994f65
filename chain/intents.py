"""The rows of the outbox as the writer sees and moves them; each function works on a given session.

The writer looks at many rows a second and changes few columns of them, so it reads plain values and
writes them back by number, many in one statement.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from chain.errors import UnexpectedStateError
from chain.ports import TRANSACTION_MOVES, TransactionState
from chain.tables import OutgoingTransactionRow, TransactionAttemptRow

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlmodel import Session

    from chain.ids import Address

    Asked = Session | sa.Connection

ROWS: sa.Table = OutgoingTransactionRow.__table__  # type: ignore[attr-defined]  # SQLModel sets it
ATTEMPTS: sa.Table = TransactionAttemptRow.__table__  # type: ignore[attr-defined]  # SQLModel sets it
CARRIER = "batch:"
"""How the keys of merged calls begin; no use case may queue under such a key."""

SHARED = (
    *("state", "transaction_hash", "block_number", "block_hash", "block_position", "block_time"),
    *("sent_at", "settled_at", "message", "error", "error_facts"),
)
"""What the members of a merged call take over from it."""

PULLED = (TransactionState.SENT.value, TransactionState.MINED.value, TransactionState.FINAL.value)


@dataclass(frozen=True, slots=True)
class Intent:
    """One queued call and where it stands; the columns of ``OutgoingTransactionRow`` of these names."""

    id: int
    key: str
    state: TransactionState
    contract: str
    function: str
    to: str | None
    data: bytes
    gas: int | None
    is_alone: bool
    nonce: int | None
    gas_limit: int | None
    gas_price: int | None
    block_number: int | None
    block_hash: str | None
    block_position: int | None
    block_time: dt.datetime | None

    @property
    def is_carrier(self) -> bool:
        """True for a merged call, whose members are rows of their own."""
        return self.key.startswith(CARRIER)


_INTENT = sa.select(*(ROWS.c[name] for name in Intent.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One byte string signed for a nonce; any of them may be the one that is mined."""

    hash: str
    outgoing_id: int
    nonce: int
    gas_price: int
    is_void: bool
    signed_at: dt.datetime


_ATTEMPT = sa.select(*(ATTEMPTS.c[name] for name in Attempt.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class Held:
    """What a key has under way when a round begins.

    Attributes:
        newest: the row that stands highest in the chain.
        sent: signed and in no block, by nonce.
        mined: in blocks, not yet final.
        attempts: everything signed for the sent ones, oldest first.
        stranded: merged calls that came to nothing and still hold their members.
    """

    newest: Intent | None
    sent: list[Intent]
    mined: list[Intent]
    attempts: dict[int, list[Attempt]] = field(default_factory=dict)
    stranded: list[Intent] = field(default_factory=list)


def require_move(key: str, current: TransactionState, wanted: TransactionState) -> None:
    """Checks a move against the published table.

    Raises:
        UnexpectedStateError: the table has no such move.
    """
    if wanted not in TRANSACTION_MOVES[current]:
        raise UnexpectedStateError(
            f"transaction {key} cannot go from {current} to {wanted}",
            key=key,
            current=current.value,
            wanted=wanted.value,
        )


# Asked in every round. A statement that is built once is not looked at again each time it is run.
_SIGNER = ROWS.c.signer == sa.bindparam("signer_")
_SINGLE = ROWS.c.carrier_id.is_(None)
_MEMBERS = ROWS.alias("members")
_IS_SENT = ROWS.c.state == TransactionState.SENT.value
_LIVE = _INTENT.where(
    _SIGNER, sa.or_(_IS_SENT, ROWS.c.state == TransactionState.MINED.value), _SINGLE
).order_by(ROWS.c.nonce)
_IN_BLOCKS = _INTENT.where(_SIGNER, ROWS.c.block_hash.is_not(None), _SINGLE).order_by(
    ROWS.c.block_number.desc(), ROWS.c.block_position.desc()
)
_NEWEST = _IN_BLOCKS.limit(1)
_QUEUED = (
    _INTENT.where(_SIGNER, ROWS.c.state == TransactionState.QUEUED.value, _SINGLE)
    .order_by(ROWS.c.id)
    .limit(sa.bindparam("most"))
)
_STRANDED = _INTENT.where(
    ROWS.c.id.in_(
        sa.select(_MEMBERS.c.carrier_id).where(
            _MEMBERS.c.signer == sa.bindparam("signer_"),
            _MEMBERS.c.state == TransactionState.SENT.value,
            _MEMBERS.c.carrier_id.is_not(None),
        )
    ),
    sa.or_(
        ROWS.c.state == TransactionState.REVERTED.value,
        ROWS.c.state == TransactionState.DROPPED.value,
    ),
)
_TRIES = (
    _ATTEMPT.join(ROWS, ROWS.c.id == ATTEMPTS.c.outgoing_id)
    .where(_SIGNER, _IS_SENT, _SINGLE)
    .order_by(ATTEMPTS.c.signed_at)
)
_LAST_NONCE = sa.select(sa.func.max(ROWS.c.nonce)).where(_SIGNER)
_WAITING = (
    sa.select(sa.func.count())
    .select_from(ROWS)
    .where(_SIGNER, sa.or_(ROWS.c.state == TransactionState.QUEUED.value, _IS_SENT))
)
_UNDER_WAY = (
    sa.select(ROWS.c.id)
    .where(
        _SIGNER,
        sa.or_(
            ROWS.c.state == TransactionState.QUEUED.value,
            _IS_SENT,
            ROWS.c.state == TransactionState.MINED.value,
        ),
    )
    .limit(1)
)
_STATES = (
    sa.select(ROWS.c.id, ROWS.c.state)
    .where(ROWS.c.id.in_(sa.bindparam("numbers", expanding=True)))
    .with_for_update()
)


def read_held(session: Asked, signer: Address) -> Held:
    """What a key has under way."""
    live = _list(session, _LIVE, signer_=signer)
    sent = [one for one in live if one.state is TransactionState.SENT]
    return Held(
        newest=next(iter(_list(session, _NEWEST, signer_=signer)), None),
        sent=sent,
        mined=[one for one in live if one.state is TransactionState.MINED],
        attempts=_read_attempts(session, signer) if sent else {},
        stranded=_list(session, _STRANDED, signer_=signer),
    )


def list_in_blocks(session: Asked, signer: Address) -> list[Intent]:
    """Rows that stand in blocks, the highest first."""
    return _list(session, _IN_BLOCKS, signer_=signer)


def list_queued(session: Asked, signer: Address, limit: int) -> list[Intent]:
    """What waits for a nonce, oldest first."""
    return _list(session, _QUEUED, signer_=signer, most=limit)


def find_intent(session: Session, key: str) -> Intent | None:
    """A row by its business key."""
    return next(iter(_list(session, _INTENT.where(ROWS.c.key == key))), None)


def is_carried(session: Session, number: int) -> bool:
    """True if a call travels merged with others."""
    return (
        session.execute(sa.select(ROWS.c.carrier_id).where(ROWS.c.id == number)).scalar()
        is not None
    )


def _read_attempts(session: Asked, signer: Address) -> dict[int, list[Attempt]]:
    """Everything signed for what is sent, oldest first."""
    found: dict[int, list[Attempt]] = {}
    for row in session.execute(_TRIES, {"signer_": signer}):
        attempt = Attempt(*row)
        found.setdefault(attempt.outgoing_id, []).append(attempt)
    return found


def read_raws(session: Asked, hashes: Collection[str]) -> dict[str, bytes]:
    """Stored bytes by transaction hash."""
    query = sa.select(ATTEMPTS.c.hash, ATTEMPTS.c.raw).where(ATTEMPTS.c.hash.in_(hashes))
    return {row.hash: row.raw for row in session.execute(query)} if hashes else {}


def last_nonce(session: Asked, signer: Address) -> int:
    """The highest nonce a key has given out; -1 before the first."""
    found = session.execute(_LAST_NONCE, {"signer_": signer}).scalar()
    return -1 if found is None else int(found)


def held_nonces(session: Asked, signer: Address, least: int) -> set[int]:
    """The nonces from ``least`` on that rows hold."""
    query = sa.select(ROWS.c.nonce).where(ROWS.c.signer == signer, ROWS.c.nonce >= least)
    return set(session.execute(query).scalars())


def count_waiting(session: Asked, signer: Address) -> int:
    """Rows queued or sent."""
    return int(session.execute(_WAITING, {"signer_": signer}).scalar_one())


def is_idle(session: Asked, signer: Address) -> bool:
    """True if nothing of a key waits, is sent or is not yet final."""
    return session.execute(_UNDER_WAY, {"signer_": signer}).first() is None


def lock_states(session: Session, numbers: Iterable[int]) -> dict[int, TransactionState]:
    """The states of rows as they are now; nobody else moves them until this transaction ends."""
    wanted = list(numbers)
    found: dict[int, TransactionState] = {}
    for at in range(0, len(wanted), 500):
        some = session.execute(_STATES, {"numbers": wanted[at : at + 500]})
        found.update((row.id, TransactionState(row.state)) for row in some)
    return found


def add_row(
    session: Session,
    *,
    key: str,
    signer: Address,
    contract: str,
    function: str,
    data: bytes,
    queued_at: dt.datetime,
    to: str | None = None,
) -> int:
    """A row that no use case has queued: a merged call, or an empty one that fills a gap."""
    values: dict[str, Any] = {
        "key": key,
        "body_hash": "",
        "signer": signer,
        "contract": contract,
        "function": function,
        "to": to,
        "data": data,
        "about": "",
        "state": TransactionState.QUEUED.value,
        "is_alone": False,
        "error": "",
        "error_facts": {},
        "message": "",
        "queued_at": queued_at,
    }
    made = session.execute(sa.insert(ROWS).values(**values).returning(ROWS.c.id))
    return int(made.scalar_one())


def write_changes(session: Session, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Writes columns of rows, by row number; rows that set the same columns go in one statement."""
    by_columns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for number, values in changes.items():
        names = tuple(sorted(values))
        by_columns.setdefault(names, []).append(
            {"row_id": number, **{f"new_{name}": values[name] for name in names}}
        )
    for names, rows in by_columns.items():
        session.connection().execute(_changing(names), rows)


@functools.cache
def _changing(names: tuple[str, ...]) -> sa.Update:
    """The statement that sets these columns of a row."""
    values = {name: sa.bindparam(f"new_{name}", type_=ROWS.c[name].type) for name in names}
    return sa.update(ROWS).where(ROWS.c.id == sa.bindparam("row_id")).values(**values)


def write_members(session: Session, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Hands what is shared of merged calls on to their members: they move as their carrier moves.

    A carrier that came to nothing does not pull its members along; they are freed (``free_members``).
    """
    for number, values in changes.items():
        shared = {name: values[name] for name in SHARED if name in values}
        if shared and values.get("state") in PULLED:
            session.execute(sa.update(ROWS).where(ROWS.c.carrier_id == number).values(**shared))


def free_members(session: Session, carriers: Sequence[int], *, is_alone: bool) -> int:
    """Queues the members of merged calls that came to nothing again; how many."""
    found = session.execute(
        sa.update(ROWS)
        .where(ROWS.c.carrier_id.in_(carriers))
        .values(
            state=TransactionState.QUEUED.value,
            carrier_id=None,
            is_alone=is_alone,
            transaction_hash=None,
            block_number=None,
            block_hash=None,
            block_position=None,
            block_time=None,
            gas_used=None,
            sent_at=None,
            settled_at=None,
            error="",
            error_facts={},
            message="",
        )
    )
    return int(found.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


def _list(session: Asked, query: sa.Select[Any], **values: Any) -> list[Intent]:
    found = []
    for row in session.execute(query, values):
        number, key, state, *rest = row
        found.append(Intent(number, key, TransactionState(state), *rest))
    return found
