"""The receipt that is signed on a phone: one content, hashed under a salt; pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from chain.bindings.structs import Confirmation, Dispute
from chain.delivery import HeldTrip
from chain.document import document_hash
from chain.errors import InvalidValueError
from chain.waybill import HeldWaybill

KIND = "yundan receipt 1"
MOST_DRAWING = 200_000
"""Bytes of a drawn signature."""

MOST_PHOTOS = 8
CONDITIONS = {0, 1, 2, 3}
"""0 sound, 1 damaged, 2 short, 3 both."""

Outcome = Literal["confirmed", "refused"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a consignee says at the gate."""

    outcome: Outcome
    accepted_milli: int
    condition: int
    note: str
    signer: str
    drawing_sha256: str
    photos: tuple[str, ...] = ()


def receipt_content(said: Said, trip: HeldTrip, leaf: HeldWaybill, at: int) -> dict[str, Any]:
    """Everything that a receipt says; integers, texts and lists of texts alone.

    Raises:
        InvalidValueError: the quantity or the condition does not fit; names the field.
    """
    if said.outcome == "confirmed" and not 0 <= said.accepted_milli <= trip.loaded:
        raise InvalidValueError(
            "accepted lies between nothing and what was loaded",
            field="accepted_milli",
            most=trip.loaded,
            given=said.accepted_milli,
        )
    short = said.outcome == "confirmed" and said.accepted_milli < trip.loaded
    condition = said.condition + 2 if short and said.condition < 2 else said.condition
    if condition not in CONDITIONS:
        raise InvalidValueError("condition is 0, 1, 2 or 3", field="condition")
    return {
        "kind": KIND,
        "outcome": said.outcome,
        "trip": trip.id,
        "shipping_note": str(leaf.papers.get("shipping_note", "")),
        "serial": str(leaf.papers.get("serial", "")),
        "goods": str(leaf.papers.get("goods", "")),
        "unit": str(leaf.papers.get("unit", "")),
        "loaded_milli": trip.loaded,
        "accepted_milli": said.accepted_milli if said.outcome == "confirmed" else 0,
        "condition": condition,
        "note": said.note,
        "signer": said.signer,
        "consignee": str(leaf.form.consignee),
        "drawing_sha256": said.drawing_sha256,
        "photos": list(said.photos),
        "at": at,
    }


def said_in(content: dict[str, Any]) -> Said:
    """What a consignee said, from a content that came back.

    Raises:
        InvalidValueError: a member is missing or of another kind.
    """
    try:
        said = Said(
            outcome=content["outcome"],
            accepted_milli=content["accepted_milli"],
            condition=content["condition"],
            note=content["note"],
            signer=content["signer"],
            drawing_sha256=content["drawing_sha256"],
            photos=tuple(content["photos"]),
        )
    except (KeyError, TypeError) as error:
        raise InvalidValueError("the receipt lacks a member", field="content") from error
    texts = (said.note, said.signer, said.drawing_sha256, *said.photos)
    numbers = (said.accepted_milli, said.condition)
    if (
        said.outcome not in {"confirmed", "refused"}
        or not all(isinstance(text, str) and len(text) <= 2_000 for text in texts)
        or not all(type(number) is int for number in numbers)
        or len(said.photos) > MOST_PHOTOS
    ):
        raise InvalidValueError("the receipt has a member of another kind", field="content")
    return said


def check_signed(
    content: dict[str, Any],
    salt: str,
    form: Confirmation | Dispute,
    trip: HeldTrip,
    leaf: HeldWaybill,
) -> Said:
    """That a signed form speaks of exactly this content, and the content of exactly this trip.

    Raises:
        InvalidValueError: they differ; names the field.
    """
    said = said_in(content)
    at = content.get("at")
    if type(at) is not int or content != receipt_content(said, trip, leaf, at):
        raise InvalidValueError("the receipt is about other goods", field="content")
    digest = document_hash(content, bytes.fromhex(salt[2:]))
    if isinstance(form, Dispute):
        same = said.outcome == "refused" and form.reason == digest
    else:
        same = (
            said.outcome == "confirmed"
            and form.document == digest
            and form.accepted == content["accepted_milli"]
            and form.condition == content["condition"]
            and form.at == at
        )
    if not same:
        raise InvalidValueError("the signed form differs from the receipt", field="message")
    return said


def read_drawing(text: str | None, expected: str) -> bytes | None:
    """The drawn signature, if it is the one that was signed over.

    Raises:
        InvalidValueError: no PNG, too large, or another drawing.
    """
    if not text:
        if expected:
            raise InvalidValueError("the drawing is missing", field="drawing")
        return None
    try:
        drawing = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValueError("the drawing is not base64", field="drawing") from error
    if not drawing.startswith(b"\x89PNG\r\n\x1a\n") or len(drawing) > MOST_DRAWING:
        raise InvalidValueError("the drawing is a PNG of at most 200 kB", field="drawing")
    if "0x" + hashlib.sha256(drawing).hexdigest() != expected:
        raise InvalidValueError("the drawing is not the one that was signed over", field="drawing")
    return drawing
