"""Every event of the chain, filed under what it is about: one question tells the story of a trip.

A projection and nothing more: ``api.flow`` hands over each event, and a rebuild files the same again.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlmodel
from sqlmodel import Session, col

from api.tables import MomentRow
from chain.abi import Event, Occurred, json_value
from chain.storage import insert_into

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


def facts_of(event: Event) -> dict[str, Any]:
    """An event's arguments by field, as JSON carries them."""
    return {
        field.name: json_value(getattr(event, field.name)) for field in dataclasses.fields(event)
    }


class Timeline:
    """The filed events in one database session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def file(self, seen: Sequence[Occurred[Any]]) -> None:
        """Files events under every id they name; the same events again change nothing."""
        rows = []
        for one in seen:
            facts = facts_of(one.event)
            rows += [
                {
                    "about": about,
                    "transaction_hash": one.transaction_hash,
                    "log_index": one.log_index,
                    "event": type(one.event).__name__,
                    "facts": facts,
                    "at": one.at,
                    "block_number": one.block_number,
                    "block_hash": one.block_hash,
                }
                for about in sorted({str(facts[name]) for name in ABOUT if name in facts})
            ]
        if rows:
            statement = _filing(self._session.get_bind().dialect.name)
            self._session.connection().execute(statement, rows)

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
    insert = insert_into(dialect, table)
    keys = ["about", "transaction_hash", "log_index"]
    anew = {one.name: insert.excluded[one.name] for one in table.columns if one.name not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=anew)
