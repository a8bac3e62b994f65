"""Waybills as firms write and read them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from api.schemas.signing import TypedData
from api.schemas.values import (
    AmountFen,
    Given,
    Instant,
    NameText,
    PartyRef,
    PartyText,
    Shown,
    SignatureText,
    TripRef,
    WaybillRef,
    WaybillText,
    plain_text,
)

NumberText = Annotated[
    str, Field(min_length=1, max_length=40, examples=["YD20260126-003"]), AfterValidator(plain_text)
]
PlateText = Annotated[
    str, Field(min_length=2, max_length=16, examples=["苏A·4F738"]), AfterValidator(plain_text)
]
TerminalText = Annotated[str, Field(pattern=r"^[0-9]{1,20}$", examples=["13800014733"])]

LEAF_FIELDS = ("serial", "plate", "terminal", "route")


class WaybillDraft(Given):
    """One contract of the back-to-back chain, to be signed by issuer and performer.

    The leaf alone (the driver's) names serial number, plate, terminal and route.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "parent": "0x" + "5c" * 32,
                "issuer": "7210398421153",
                "performer": "7210398421161",
                "consignee": "7210398421177",
                "shipping_note": "YD20260126-003",
                "serial": "0101",
                "plate": "苏A·4F738",
                "terminal": "13800014733",
                "route": "徐州北站-南京西站",
                "goods": "白砂糖",
                "unit": "t",
                "quantity_milli": 12_000,
                "freight_fen": 864_000,
                "load_from": "2026-01-26T15:50:00Z",
                "deliver_by": "2026-01-27T15:50:00Z",
                "term_days": 45,
            }
        }
    )

    parent: WaybillText | None = Field(
        default=None, description="the waybill above; null for a root"
    )
    issuer: PartyText = Field(description="who orders the carriage and owes the freight")
    performer: PartyText = Field(description="who carries, and is owed the freight")
    consignee: PartyText = Field(description="who receives and signs; the same in the whole chain")
    shipping_note: NumberText = Field(description="托运单号; the same in the whole chain")
    serial: str | None = Field(
        default=None,
        pattern=r"^[0-9]{4}$",
        examples=["0101"],
        description="分段分单号: two digits truck, two digits segment; leaf only",
    )
    plate: PlateText | None = Field(default=None, description="leaf only")
    terminal: TerminalText | None = Field(
        default=None, description="phone of the vehicle's positioning terminal; leaf only"
    )
    route: NameText | None = Field(default=None, description="a planned route of yours; leaf only")
    goods: NameText
    unit: Annotated[str, Field(min_length=1, max_length=12), AfterValidator(plain_text)] = "t"
    quantity_milli: int = Field(
        gt=0, lt=2**53, description="thousandths of the unit (kg for tonnes)", examples=[12_000]
    )
    freight_fen: Annotated[AmountFen, Field(gt=0)]
    load_from: Instant
    deliver_by: Instant
    term_days: int = Field(ge=0, le=365, description="days from delivery to the freight's due day")
    sign_by: Instant | None = Field(
        default=None, description="after it signatures are refused; 14 days from now unless given"
    )
    declared: bool = Field(
        default=False, description="root only: the issuer is not a user yet and does not sign"
    )

    @model_validator(mode="after")
    def _leaf_or_not(self) -> Self:
        given = [name for name in LEAF_FIELDS if getattr(self, name) is not None]
        if given and len(given) != len(LEAF_FIELDS):
            missing = next(name for name in LEAF_FIELDS if name not in given)
            raise ValueError(f"a leaf needs all of {', '.join(LEAF_FIELDS)}; {missing} is missing")
        if self.load_from >= self.deliver_by:
            raise ValueError("deliver_by must lie after load_from")
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it names a trip and a vehicle."""
        return self.route is not None


class WaybillShown(Shown):
    """A waybill as it stands."""

    id: WaybillRef
    object: Literal["waybill"] = "waybill"
    parent: WaybillRef | None
    root: WaybillRef
    tier: int
    stage: str
    issuer: PartyRef
    performer: PartyRef
    consignee: PartyRef
    trip: TripRef | None
    papers: dict[str, Any]
    freight_fen: AmountFen
    paid_fen: AmountFen
    credited_fen: AmountFen
    quantity_milli: int
    accepted_milli: int
    version: int
    load_from: Instant
    deliver_by: Instant
    sign_by: Instant
    term_days: int
    declared: bool
    waits_for: list[PartyRef] = Field(description="parties whose signatures are missing")
    refusal: str = Field(description="why the chain refused it; empty if it did not")
    to_sign: TypedData | None = Field(
        default=None, description="what the caller is asked to sign; null when nothing is"
    )
    expanded: dict[str, Any] | None = Field(
        default=None, description="what `expand` asked for, by name; null where there is none"
    )


class WaybillPage(Shown):
    """A page of waybills, newest first."""

    object: Literal["list"] = "list"
    data: list[WaybillShown]
    has_more: bool
    next_cursor: WaybillRef | None = Field(
        description="give it as `starting_after` for the next page"
    )


class SignatureGiven(Given):
    """A signature over what was to be signed."""

    signature: SignatureText


class RowRefused(Shown):
    """Why a row of a file was refused."""

    row: int = Field(description="line in the file; the header is line 1")
    column: str
    code: str
    message: str


class WaybillsImported(Shown):
    """What a file has become."""

    imported: int
    waybills: dict[str, WaybillRef] = Field(description="waybill id by the row's ref")
    refused: list[RowRefused]
