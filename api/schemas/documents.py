"""Documents: what is told of a file; the file itself travels as it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.documents import Purpose
from api.object_ids import pattern_of, prefixed, read_about
from api.schemas.values import (
    Instant,
    PartyRef,
    Shown,
)


def _about(value: str) -> str:
    about = read_about(value)
    return prefixed(about.kind, about.id)


AboutText = Annotated[
    str,
    Field(
        max_length=80,
        examples=["trp_" + "02" * 32],
        description="a prefixed id: wb_, trp_, adv_ or cl_ and 64 hex digits, or pty_ and a number",
    ),
    AfterValidator(_about),
]
"""What something is about."""

DocumentText = Annotated[
    str, Field(pattern=pattern_of("document"), examples=["doc_0123456789abcdef01234567"])
]


class DocumentShown(Shown):
    """A document without its content."""

    id: DocumentText
    object: Literal["document"] = "document"
    about: str = Field(examples=["trp_" + "02" * 32])
    owner: PartyRef
    purpose: Purpose
    name: str = Field(examples=["收货回单.jpg"])
    media_type: str = Field(
        description="what the file is by its bytes, whatever was said of it",
        examples=["image/jpeg"],
    )
    size: int = Field(description="bytes", examples=[182_044])
    sha256: str = Field(
        description="of the content as it was sent; what a receipt is signed over",
        pattern=r"^0x[0-9a-f]{64}$",
        examples=["0x" + "5c" * 32],
    )
    width: int | None = Field(description="pixels; null for a PDF", examples=[1600])
    height: int | None = Field(examples=[1200])
    created_at: Instant
    erased_at: Instant | None = Field(description="when its owner took the content away")
    url: str = Field(
        description="where the content is",
        examples=["/v1/documents/doc_0123456789abcdef01234567/content"],
    )


class DocumentPage(Shown):
    """Documents; a page of them newest first, or all about one object oldest first."""

    object: Literal["list"] = "list"
    data: list[DocumentShown]
    has_more: bool
    next_cursor: str | None = Field(description="give it as `starting_after` for the next page")
