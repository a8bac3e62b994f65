"""The values that appear in every schema: strict, each with the rule that its error names."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from api.object_ids import HASHES, plain_hash_of, plain_party, shown
from chain.clock import require_utc, rfc3339
from chain.money import JSON_MAX_FEN

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


class Given(BaseModel):
    """What a caller sends: nothing is coerced, nothing unknown is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Shown(BaseModel):
    """What a caller is shown."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Listed(Shown):
    """A page of a list; ``data`` holds its objects."""

    object: Literal["list"] = "list"
    has_more: bool
    next_cursor: str | None = Field(description="give it as `starting_after` for the next page")


def _instant(value: object) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return require_utc(value)
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise ValueError("an instant is RFC 3339 with a zone, e.g. 2026-01-26T15:50:00Z")
    try:
        return dt.datetime.fromisoformat(value.upper()).astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("an instant lies between the years 1 and 9999 in UTC") from None


def plain_text(value: str) -> str:
    """Text without what cannot be seen: control and format characters, lone surrogates, bidi tricks.

    Raises:
        ValueError: names the first such character.
    """
    for character in value:
        if unicodedata.category(character) in _HIDDEN:
            raise ValueError(f"U+{ord(character):04X} may not stand in a text")
    if value != value.strip():
        raise ValueError("a text neither begins nor ends with a space")
    return unicodedata.normalize("NFC", value)


def _party(value: str) -> str:
    value = plain_party(value)
    if not 0 < int(value) < 2**64:
        raise ValueError("a party is a decimal number from 1 to 2^64 - 1, as text")
    return value


Instant = Annotated[
    dt.datetime,
    BeforeValidator(_instant, json_schema_input_type=str),
    PlainSerializer(rfc3339, return_type=str),
    Field(examples=["2026-01-26T15:50:00Z"], json_schema_extra={"format": "date-time"}),
]
"""An RFC 3339 instant with a zone."""

AmountFen = Annotated[
    int, Field(strict=True, ge=0, le=JSON_MAX_FEN, examples=[864_000], description="whole fen")
]
"""A whole number of fen; 1 yuan is 100."""

PartyText = Annotated[
    str,
    Field(pattern=r"^(pty_)?[1-9][0-9]{0,19}$", examples=["7210398421153"]),
    AfterValidator(_party),
]
"""A party id: decimal text, since it may pass 2^53."""

HashText = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$", examples=["0x" + "5c" * 32])]
"""32 bytes: 0x and 64 lower-case hex digits."""


def _id_of(kind: str, what: str) -> BeforeValidator:
    """Reads an id of one kind, plain or prefixed, and tells the document its form."""
    prefix = HASHES[kind]
    form = Annotated[
        str,
        Field(
            pattern=rf"^(0x|{prefix}_)[0-9a-f]{{64}}$",
            examples=["0x" + "5c" * 32],
            description=f"{what}'s id: 0x or {prefix}_ and 64 hex digits",
        ),
    ]
    return BeforeValidator(plain_hash_of(kind), json_schema_input_type=form)


_PLAIN_HASH = Field(pattern=r"^0x[0-9a-f]{64}$")

WaybillText = Annotated[str, _PLAIN_HASH, _id_of("waybill", "a waybill")]
"""A waybill's id as given; the plain hash once read."""

TripText = Annotated[str, _PLAIN_HASH, _id_of("trip", "a trip")]
"""A trip's id as given; the plain hash once read."""

ApplicationText = Annotated[str, _PLAIN_HASH, _id_of("application", "an application")]
"""An application's id as given; the plain hash once read."""

PayoutText = Annotated[str, _PLAIN_HASH, _id_of("payout", "a payout")]
"""A payout's id as given; the plain hash once read."""

KeyText = Annotated[
    str,
    Field(pattern=r"^(key_)?[0-9a-f]{16}$", examples=["key_0123456789abcdef"]),
    AfterValidator(lambda value: value.removeprefix("key_")),
]
"""An API key's id as given; it is no secret."""

KeyRef = Annotated[
    str,
    PlainSerializer(
        lambda value: f"key_{value}",
        return_type=Annotated[
            str, Field(pattern=r"^key_[0-9a-f]{16}$", examples=["key_0123456789abcdef"])
        ],
        when_used="json",
    ),
]
"""An API key's id as answers show it."""

AdvanceText = Annotated[str, _PLAIN_HASH, _id_of("advance", "an advance")]
"""An advance's id as given; the plain hash once read."""

LineText = Annotated[str, _PLAIN_HASH, _id_of("line", "a credit line")]
"""A credit line's id as given; the plain hash once read."""


def _shown_id(kind: str, what: str, *, or_none: bool = False) -> PlainSerializer:
    """Writes an id of one kind with its prefix, and tells the document its form."""
    prefix, digits = (
        ("pty", "[1-9][0-9]{0,19}") if kind == "party" else (HASHES[kind], "[0-9a-f]{64}")
    )
    example = "7210398421153" if kind == "party" else "5c" * 32
    form = Annotated[
        str,
        Field(
            pattern=rf"^({prefix}_{digits})?$" if or_none else rf"^{prefix}_{digits}$",
            examples=[f"{prefix}_{example}"],
            description=f"{what}'s id",
        ),
    ]
    return PlainSerializer(shown(kind), return_type=form, when_used="json")


PartyRef = Annotated[str, _shown_id("party", "a party")]
"""A party's id as answers show it; plain within Python, prefixed in JSON, like those that follow."""

PartyRefOrNone = Annotated[str, _shown_id("party", "a party", or_none=True)]
"""The same; empty where there is none (yet)."""

WaybillRef = Annotated[str, _shown_id("waybill", "a waybill")]
"""A waybill's id as answers show it."""

TripRef = Annotated[str, _shown_id("trip", "a trip")]
"""A trip's id as answers show it."""

LineRef = Annotated[str, _shown_id("line", "a credit line")]
"""A credit line's id as answers show it."""

LineRefOrNone = Annotated[str, _shown_id("line", "a credit line", or_none=True)]
"""The same; empty where there is none (yet)."""

AdvanceRef = Annotated[str, _shown_id("advance", "an advance")]
"""An advance's id as answers show it."""

PayoutRef = Annotated[str, _shown_id("payout", "a payout")]
"""A payout's id as answers show it."""

ApplicationRef = Annotated[str, _shown_id("application", "an application")]
"""An application's id as answers show it."""

AddressText = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$", examples=["0x" + "a1" * 20])]
"""An EVM address."""

SignatureText = Annotated[
    str,
    Field(
        pattern=r"^0x([0-9a-fA-F]{2}){65,4096}$",
        examples=["0x" + "00" * 65],
        description="65 bytes r, s, v; a contract (ERC-1271) may need more",
    ),
]
"""A signature in hex."""

NameText = Annotated[
    str, Field(min_length=1, max_length=80, examples=["徐州北站"]), AfterValidator(plain_text)
]
"""A name for people."""

NoteText = Annotated[
    str, Field(min_length=1, max_length=2000, examples=["两箱受潮"]), AfterValidator(plain_text)
]
"""A note for people."""
