"""Vehicles, receivables, entries of the ledger, attestations."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.object_ids import pattern_of
from api.schemas.values import (
    AmountFen,
    Given,
    HashText,
    Instant,
    Listed,
    PartyRef,
    PartyRefOrNone,
    Shown,
    WaybillRef,
    plain_text,
)
from api.schemas.waybills import PlateText, TerminalText

VehicleText = Annotated[
    str, Field(pattern=pattern_of("vehicle"), examples=["veh_0123456789abcdef01234567"])
]
VehicleKind = Literal["truck", "tractor", "trailer", "van", "other"]
RemarkText = Annotated[
    str, Field(max_length=200, examples=["厢式, 9.6 米"]), AfterValidator(plain_text)
]
LoadKg = Annotated[int, Field(gt=0, le=200_000, examples=[18_000], description="load in kilograms")]


class VehicleGiven(Given):
    """A vehicle of the caller."""

    plate: PlateText
    kind: VehicleKind = "truck"
    terminal: TerminalText | None = Field(default=None, description="its positioning terminal")
    load_kg: LoadKg | None = None
    note: RemarkText = ""


class VehicleChange(Given):
    """What is to change; what is left out stays. A plate never changes: that is another vehicle."""

    kind: VehicleKind | None = None
    terminal: TerminalText | None = None
    load_kg: LoadKg | None = None
    note: RemarkText | None = None
    retired: bool | None = None


class VehicleShown(Shown):
    """A vehicle."""

    id: VehicleText
    object: Literal["vehicle"] = "vehicle"
    plate: str = Field(examples=["苏A·4F738"])
    vehicle: HashText = Field(description="its keyed hash, as it stands in waybills on chain")
    kind: str = Field(examples=["truck"])
    terminal: str = Field(examples=["13800014733"])
    load_kg: int | None = Field(examples=[18_000])
    note: str = Field(examples=["厢式, 9.6 米"])
    retired_at: Instant | None
    created_at: Instant
    changed_at: Instant


class VehiclePage(Shown):
    """A page of vehicles, newest first."""

    object: Literal["list"] = "list"
    data: list[VehicleShown]
    has_more: bool
    next_cursor: str | None = Field(description="give it as `starting_after` for the next page")


class ReceivableShown(Shown):
    """What is owed on the borrower's waybill."""

    object: Literal["receivable"] = "receivable"
    waybill: WaybillRef
    debtor: PartyRef
    owner: PartyRef
    lender: PartyRefOrNone = Field(description="who holds it in pledge; empty if nobody")
    freight_fen: AmountFen
    received_fen: AmountFen
    term_days: int = Field(examples=[45])
    due_day: dt.date | None = Field(description="Beijing day on which it is due")
    acknowledged_at: Instant | None = Field(description="when the debtor signed that he owes it")
    settled_at: Instant | None


class ReceivablePage(Shown):
    """A page of receivables, by waybill."""

    object: Literal["list"] = "list"
    data: list[ReceivableShown]
    has_more: bool
    next_cursor: WaybillRef | None = Field(
        description="give it as `starting_after` for the next page"
    )


class EntryLine(Shown):
    """One side of an entry."""

    account: str = Field(examples=["loans"])
    debit_fen: int = Field(examples=[86_400])
    credit_fen: int = Field(examples=[0])
    about: str = Field(examples=["0x" + "5c" * 32])


class EntryShown(Shown):
    """A balanced entry of a book."""

    id: str = Field(examples=["released:0x5c:3"])
    object: Literal["ledger_entry"] = "ledger_entry"
    kind: str = Field(examples=["release"])
    day: dt.date
    at: Instant
    source: str = Field(description="the transaction it comes from", examples=["0x" + "5c" * 32])
    reverses: str = Field(examples=[""])
    lines: list[EntryLine]


class EntryPage(Shown):
    """A page of entries, by business day."""

    object: Literal["list"] = "list"
    data: list[EntryShown]
    has_more: bool
    next_cursor: str | None = Field(description="give it as `starting_after` for the next page")


class AttestationShown(Shown):
    """A signed verdict on a drive."""

    object: Literal["attestation"] = "attestation"
    attestor: PartyRef
    verdict: str = Field(examples=["pass"])
    root: str = Field(examples=["0x" + "5c" * 32])
    findings: str = Field(examples=["0x" + "5c" * 32])
    on_chain: bool = Field(examples=[True])


class AttestationList(Listed):
    """The attestations of a trip."""

    data: list[AttestationShown]
