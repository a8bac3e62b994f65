"""ETags of objects that change: a reader asks for what is new, a writer changes only what he has read.

An ETag is of the object's JSON as its own ``GET`` shows it, so If-Match on a change refuses a caller who
has not seen the present object (412), and If-None-Match on a read spares him the body (304).
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel

from api.errors import ApiError

IfMatch = Annotated[
    str | None,
    Header(
        max_length=400,
        description="the ETag of the object as it was read; another present one refuses the change",
    ),
]


class PreconditionFailedError(ApiError):
    """The object is no longer as you have read it; read it again."""

    code = "precondition_failed"


def etag_of(shown: BaseModel) -> str:
    """The strong ETag of an object as it is shown."""
    return _etag(shown.model_dump_json(by_alias=True))


def _etag(body: str) -> str:
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def tagged(request: Request, shown: BaseModel) -> Response:
    """An object as an answer with its ETag; 304 without a body where the caller has it."""
    body = shown.model_dump_json(by_alias=True)
    headers = {"ETag": _etag(body), "Cache-Control": "private, no-cache"}
    if _names(request.headers.get("if-none-match", ""), headers["ETag"], weak=True):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def require_match(given: str | None, shown: BaseModel) -> None:
    """Passes a writer who names no ETag, or the present one.

    Raises:
        PreconditionFailedError: the object has changed since.
    """
    if given is not None and not _names(given, etag_of(shown), weak=False):
        raise PreconditionFailedError(field="If-Match")


def _names(header: str, etag: str, *, weak: bool) -> bool:
    named = [one.strip() for one in header.split(",")]
    if weak:
        named = [one.removeprefix("W/") for one in named]
    return "*" in named or etag in named
