"""Which queued calls may travel together in one transaction, and as which call.

A merged call must do exactly what its members would do one after the other, all of them or none; and
each member must be such that the contract itself takes it once (a waybill is known by its hash), since
members of a batch that failed are sent again each by itself.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_abi.abi import decode

from chain.bindings.structs import Waybill
from chain.bindings.waybill_registry import WaybillRegistry
from chain.intents import CARRIER
from chain.typed_data import struct_types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chain.abi import ContractCall
    from chain.intents import Intent

MOST = 24
"""Calls in one batch at most: two dozen waybills stay well below the gas limit of one transaction."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one transaction carries: a queued call, or several merged into one.

    Attributes:
        members: the queued calls, in order.
        call: the merged call; None for a single one, which goes as it is.
    """

    members: tuple[Intent, ...]
    call: ContractCall | None = None

    @property
    def first(self) -> Intent:
        """The first member; the only one unless the parcel is merged."""
        return self.members[0]

    @property
    def key(self) -> str:
        """The business key of the parcel's own row."""
        if self.call is None:
            return self.first.key
        names = "\n".join(one.key for one in self.members).encode()
        return CARRIER + hashlib.sha256(names).hexdigest()


def merge_queue(queued: Sequence[Intent]) -> list[Parcel]:
    """The queue in parcels, in order: neighbours of one kind go together, nothing overtakes anything."""
    parcels: list[Parcel] = []
    run: list[Intent] = []
    for intent in queued:
        if run and (_kind(intent) is None or _kind(intent) != _kind(run[0]) or len(run) == MOST):
            parcels.append(_parcel(run))
            run = []
        run.append(intent)
        if _kind(intent) is None:
            parcels.append(_parcel(run))
            run = []
    if run:
        parcels.append(_parcel(run))
    return parcels


def split(parcel: Parcel) -> list[Parcel]:
    """The members of a parcel, each by itself."""
    return [Parcel((one,)) for one in parcel.members]


def _kind(intent: Intent) -> tuple[str, str] | None:
    """What a call may be merged with; None if it travels alone."""
    kind = (intent.contract, intent.function)
    if intent.is_alone or intent.to is not None or intent.gas is not None or kind not in _MERGERS:
        return None
    return kind


def _parcel(run: list[Intent]) -> Parcel:
    if len(run) == 1:
        return Parcel((run[0],))
    merger = _MERGERS[run[0].contract, run[0].function]
    return Parcel(tuple(run), merger([one.data for one in run]))


def _issue_batch(calls: Sequence[bytes]) -> ContractCall:
    """``issue`` many times over is ``issueBatch``, all or nothing."""
    name, *others = struct_types(Waybill.EIP712).items()
    assert not others, "a waybill holds no structs"
    form = "(" + ",".join(member["type"] for member in name[1]) + ")"
    forms, issuers, performers = zip(
        *(decode([form, "bytes", "bytes"], data[4:]) for data in calls), strict=True
    )
    every = [Waybill.from_abi(one) for one in forms]
    return WaybillRegistry.issue_batch(every, issuers, performers, all_or_nothing=True)


_MERGERS: Mapping[tuple[str, str], Callable[[Sequence[bytes]], ContractCall]] = {
    ("WaybillRegistry", "issue"): _issue_batch,
}
