"""Receipts signed through a link, and the tasks of a driver."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from api.schemas.signing import SignedForm, TypedData
from api.schemas.values import (
    AddressText,
    AmountFen,
    Given,
    HashText,
    Instant,
    NameText,
    PartyText,
    Shown,
    plain_text,
)

CodeText = Annotated[str, Field(pattern=r"^[0-9]{6}$", examples=["402913"])]
Sha256Text = Annotated[str, Field(pattern=r"^(0x[0-9a-f]{64})?$")]
LooseNote = Annotated[str, Field(max_length=500), AfterValidator(plain_text)]


class ConsigneeGiven(Given):
    """A consignee without an account: named now, enrolled by his first receipt."""

    name_zh: NameText
    name_en: NameText


class LinkMade(Shown):
    """A link for the consignee; it is shown this once."""

    url: str
    qr_svg: str = Field(description="the same as a QR code, SVG")
    expires_at: Instant


class ReceiptCode(Shown):
    """What the consignor tells the consignee, and nobody tells the driver."""

    code: CodeText


class StepGiven(Given):
    """What a driver says on his way, by his own clock."""

    step: Literal["arrived_loading", "departed", "arrived_unloading"]
    at: Instant


class StepKept(Shown):
    """A driver's word as it is kept; the first stands."""

    step: str
    at: Instant


class ReceiptAsked(Given):
    """What the consignee is about to sign."""

    outcome: Literal["confirmed", "refused"]
    accepted_milli: int = Field(ge=0, lt=2**53)
    condition: int = Field(ge=0, le=3, description="0 sound, 1 damaged, 2 short, 3 both")
    note: LooseNote = ""
    signer: NameText = Field(description="who signs, for people")
    key: AddressText = Field(description="the key on this phone")
    drawing_sha256: Sha256Text = ""
    photos: list[HashText] = Field(default_factory=list, max_length=8)


class ReceiptForms(Shown):
    """What is to be signed; nothing is kept until it comes back signed."""

    content: dict[str, Any]
    salt: HashText
    to_sign: TypedData
    enrolment: TypedData | None = Field(
        description="to be signed first where the consignee has no key yet"
    )
    profile_salt: HashText | None


class EnrolmentSigned(SignedForm):
    """A signed registration of an awaited consignee."""

    profile_salt: HashText


class ReceiptSigned(SignedForm):
    """A signed receipt."""

    content: dict[str, Any]
    salt: HashText
    drawing: str | None = Field(default=None, max_length=280_000, description="PNG, base64")
    enrolment: EnrolmentSigned | None = None
    code: CodeText | None = Field(
        default=None, description="the receiving code; needed where the consignee has no key yet"
    )


class PaperShown(Shown):
    """A signed receipt, with what is needed to hash it again."""

    document: HashText
    content: dict[str, Any]
    salt: HashText
    signature: str
    signer: AddressText
    signed_at: Instant
    on_chain: bool
    transaction: HashText | None
    block: int | None


class ReceiptShown(Shown):
    """A link as whoever scans it sees it."""

    state: Literal["open", "used", "gone"]
    expires_at: Instant
    trip: HashText
    trip_state: str
    shipping_note: str
    serial: str
    goods: str
    unit: str
    loaded_milli: int
    plate: str
    driver_zh: str
    driver_en: str
    carrier_zh: str
    carrier_en: str
    origin: str
    destination: str
    loaded_at: Instant | None
    consignee: PartyText
    consignee_zh: str
    consignee_en: str
    consignee_key: AddressText | None
    needs_code: bool
    pays_at_once: bool = Field(
        description="an approved advance pays the driver when this is signed"
    )
    paid: bool
    paper: PaperShown | None


class MoneyStage(Shown):
    """One stage of a driver's money."""

    stage: str
    at: Instant | None


class TaskShown(Shown):
    """One job of a driver, with everything that his phone needs without a network."""

    waybill: HashText
    trip: HashText
    version: int
    vehicle: HashText
    stage: str
    issuer_zh: str
    issuer_en: str
    shipping_note: str
    serial: str
    goods: str
    unit: str
    quantity_milli: int
    plate: str
    origin: str
    destination: str
    load_from: Instant
    deliver_by: Instant
    sign_by: Instant
    term_days: int
    freight_fen: AmountFen
    net_fen: AmountFen
    paid_fen: AmountFen
    advance: HashText | None
    advance_state: str
    advance_fen: AmountFen
    signed: bool = Field(description="whether the driver has signed the waybill")
    needs_consent: bool
    trip_state: str
    verdict: str
    disputed: bool
    refusal: str
    steps: dict[str, Instant]
    loaded_at: Instant | None
    confirmed_at: Instant | None
    money: list[MoneyStage]


class TaskList(Shown):
    """The jobs of a driver, the newest first."""

    party: PartyText
    name_zh: str
    name_en: str
    at: Instant
    domain: dict[str, Any] = Field(
        description="EIP-712 domain of DeliveryRegistry, for forms that are made without a network"
    )
    data: list[TaskShown]
