"""Every event of the chain, filed under what it is about: one question tells the story of a trip.

A projection and nothing more: ``api.flow`` hands over each event, and a rebuild files the same again.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlmodel
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from api.tables import MomentRow
from chain.abi import Occurred, json_value

_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

ABOUT = ("trip", "waybill", "advance", "line", "payout")
"""Fields of events whose values are ids that people ask by."""


@dataclass(frozen=True, slots=True)
class Filed:
    """One event as filed.

    Attributes:
        event: its name in Solidity.
        facts: its arguments by field, JSON values; numbers past 2^53 as text.
    """

    event: str
    facts: Mapping[str, Any]
    at: dt.datetime
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int


class Timeline:
    """The filed events in one database session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def file(self, seen: Occurred[Any]) -> None:
        """Files an event under every id it names; the same event again changes nothing."""
        facts = {
            field.name: json_value(getattr(seen.event, field.name))
            for field in dataclasses.fields(seen.event)
        }
        rows = [
            {
                "about": about,
                "transaction_hash": seen.transaction_hash,
                "log_index": seen.log_index,
                "event": type(seen.event).__name__,
                "facts": facts,
                "at": seen.at,
                "block_number": seen.block_number,
                "block_hash": seen.block_hash,
            }
            for about in sorted({str(facts[name]) for name in ABOUT if name in facts})
        ]
        if not rows:
            return
        self._session.connection().execute(_filing(self._session.get_bind().dialect.name), rows)

    def list_about(self, ids: Collection[str]) -> list[Filed]:
        """Events about any of some ids, each once, in the order of the chain."""
        query = sqlmodel.select(MomentRow).where(col(MomentRow.about).in_(sorted(ids)))
        rows = self._session.exec(query).all()
        found = {
            (row.block_number, row.log_index): Filed(
                event=row.event,
                facts=row.facts,
                at=row.at,
                block_number=row.block_number,
                block_hash=row.block_hash,
                transaction_hash=row.transaction_hash,
                log_index=row.log_index,
            )
            for row in rows
        }
        return [found[place] for place in sorted(found)]


@functools.cache
def _filing(dialect: str) -> Any:
    """The statement that files rows, or writes what a block that came again has changed of them."""
    table = MomentRow.__table__  # type: ignore[attr-defined]  # every table class has it
    insert = _INSERTS[dialect](table)
    keys = ["about", "transaction_hash", "log_index"]
    anew = {one.name: insert.excluded[one.name] for one in table.columns if one.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=anew)
