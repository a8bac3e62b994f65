"""A trip's trail on the chain: transactions in their order, each with a sentence, its events by name, raw data.

Names stand where addresses and ids stood; every hash can still be read, copied and compared.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.portals.rendering import when_text
from api.portals.views import money_text
from api.portals.words import word
from api.timeline import Filed
from api.trip_stories import TripStory
from chain.bindings import enums
from chain.clock import instant_of

PEOPLE = (
    "issuer", "performer", "consignee", "borrower", "lender", "debtor", "payee", "attestor", "by",
    "reviewer", "party", "pledgee", "stand_in",
)  # fmt: skip
AMOUNTS = (
    "freight", "principal", "amount", "received", "limit", "reserved", "drawn", "fee", "penalty",
    "interest", "waived", "outstanding", "income", "most", "paid", "credited", "to_loans",
    "to_children", "to_performer", "refunded",
)  # fmt: skip
INSTANTS = (
    "at",
    "departed_at",
    "arrived_at",
    "approved_until",
    "valid_until",
    "first_time",
    "last_time",
)
DAYS = ("start_day", "due_day", "day", "value_day")
MANY_ALIKE = 3
"""More of the same call in a row than this are folded into one card."""

HEADLINE = ("freight", "principal", "amount", "received")
"""The amount that a sentence tells, the first of these that an event has."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One argument of an event: its name, what it means, and how it stands on chain."""

    name: str
    shown: str
    raw: str


@dataclass(frozen=True, slots=True)
class Event:
    """One event, decoded."""

    name: str
    sentence: str
    facts: Sequence[Fact]
    log_index: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction and what came of it.

    Attributes:
        confirmations: blocks on top of it that we have read.
        contract: which contract was called, "" where another sender did it.
        reason: why it was refused, "" if it was not.
    """

    hash: str
    state: str
    block: int | None
    block_hash: str
    at: dt.datetime | None
    confirmations: int
    contract: str
    address: str
    function: str
    gas: int | None
    reason: str = ""
    events: Sequence[Event] = field(default=())


def trail_of(
    story: TripStory, lang: str, *, head: int, addresses: Mapping[str, str]
) -> list[Transaction]:
    """The trail of a trip, oldest first; refused calls stand where they were refused.

    Args:
        story: of the trip.
        lang: of the reader.
        head: the last block that was read.
        addresses: where each contract stands.
    """
    sent = {one.transaction_hash: one for one in story.sent if one.transaction_hash}
    found: dict[str, list[Filed]] = {}
    for filed in story.filed:
        found.setdefault(filed.transaction_hash, []).append(filed)
    trail = []
    for name, group in found.items():
        first = group[0]
        call = sent.get(name)  # type: ignore[call-overload]  # a Hash32 by value
        contract = call.contract if call else ""
        trail.append(
            Transaction(
                hash=name,
                state=call.state.value if call else "final",
                block=first.block_number,
                block_hash=first.block_hash,
                at=first.at,
                confirmations=max(0, head - first.block_number + 1),
                contract=contract,
                address=addresses.get(contract, ""),
                function=call.function if call else "",
                gas=call.gas_used if call else None,
                events=[_event(one, story, lang) for one in group],
            )
        )
    trail += [
        Transaction(
            hash=call.transaction_hash or "",
            state=call.state.value,
            block=call.block_number,
            block_hash=call.block_hash or "",
            at=call.block_time,
            confirmations=0,
            contract=call.contract,
            address=addresses.get(call.contract, ""),
            function=call.function,
            gas=call.gas_used,
            reason=call.message or call.error,
        )
        for call in story.sent
        if call.transaction_hash not in found and call.state.value not in {"mined", "final"}
    ]
    return sorted(trail, key=lambda one: (one.block is None, one.block or 0))


def _event(filed: Filed, story: TripStory, lang: str) -> Event:
    people = [
        story.name(filed.facts[name], lang) for name in PEOPLE if _is_party(filed.facts, name)
    ]
    amount = next((filed.facts[name] for name in HEADLINE if name in filed.facts), None)
    parts = [word(f"event_{filed.event.lower()}", lang)]
    if people:
        parts.append(" → ".join(dict.fromkeys(people)))
    if amount is not None:
        parts.append(money_text(int(amount), lang))
    return Event(
        name=filed.event,
        sentence=" · ".join(parts),
        facts=[
            Fact(name, _shown(name, value, story, lang), str(value))
            for name, value in filed.facts.items()
        ],
        log_index=filed.log_index,
    )


def _is_party(facts: Mapping[str, Any], name: str) -> bool:
    return name in facts and str(facts[name]).isdecimal() and int(facts[name]) > 0


def _shown(name: str, value: Any, story: TripStory, lang: str) -> str:
    """What a value means to people; "" where it is a hash or a plain number."""
    if name in PEOPLE and str(value).isdecimal():
        return story.name(value, lang) if int(value) else "–"
    if name in AMOUNTS:
        return money_text(int(value), lang)
    if name in INSTANTS and int(value) > 0:
        return when_text(instant_of(int(value)), seconds=True)
    if name in DAYS and int(value) > 0:
        return (dt.date(1970, 1, 1) + dt.timedelta(days=int(value))).isoformat()
    if name == "verdict":
        return word(f"verdict_{enums.Verdict(int(value)).name.lower()}", lang)
    if name in {"quantity", "accepted", "loaded"}:
        unit = str(story.leaf.papers.get("unit", ""))
        return f"{int(value) // 1000:,}.{int(value) % 1000:03d} {unit}".strip()
    if name == "distance_m":
        return f"{int(value):,} m"
    if name == "late_bps":
        return f"{int(value) // 100}.{int(value) % 100:02d}%"
    return ""


def runs_of(trail: Sequence[Transaction]) -> list[list[Transaction]]:
    """A trail in runs: many of the same call in a row stand together, everything else alone."""
    runs: list[list[Transaction]] = []
    for _, alike in itertools.groupby(trail, key=lambda one: (one.contract, one.function)):
        some = list(alike)
        runs += [some] if len(some) > MANY_ALIKE else [[one] for one in some]
    return runs
