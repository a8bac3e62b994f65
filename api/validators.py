"""ETags of objects that change: a reader asks for what is new, a writer changes only what he has read.

An ETag is of the object's JSON as its own ``GET`` shows it, so If-Match on a change refuses a caller who
has not seen the present object (412), and If-None-Match on a read spares him the body (304).
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import ApiError

TAGGED = b"application/json"

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
    return _etag(shown.model_dump_json(by_alias=True).encode())


def _etag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def tagged(request: Request, shown: BaseModel) -> Response:
    """An object as an answer with its ETag; 304 without a body where the caller has it."""
    body = shown.model_dump_json(by_alias=True)
    headers = {"ETag": _etag(body.encode()), "Cache-Control": "private, no-cache"}
    if _names(request.headers.get("if-none-match", ""), headers["ETag"], weak=True):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


class Tags:
    """Gives every object and list of /v1 that has no ETag yet one, and 304 to who has it.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if (
            scope["type"] != "http"
            or scope["method"] != "GET"
            or not scope["path"].startswith("/v1/")
        ):
            await self._app(scope, receive, send)
            return
        begun: Message | None = None
        body = bytearray()

        async def tag(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                headers = Headers(raw=message["headers"])
                plain = headers.get("content-type", "").encode().startswith(TAGGED)
                if message["status"] == HTTPStatus.OK and plain and "etag" not in headers:
                    begun = message
                    return
            elif begun is not None:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    await _finish(scope, send, begun, bytes(body))
                return
            await send(message)

        await self._app(scope, receive, tag)


async def _finish(scope: Scope, send: Send, begun: Message, body: bytes) -> None:
    headers = MutableHeaders(raw=list(begun["headers"]))
    headers["ETag"] = _etag(body)
    headers["Cache-Control"] = "private, no-cache"
    given = Headers(scope=scope).get("if-none-match", "")
    status = begun["status"]
    if _names(given, headers["ETag"], weak=True):
        status, body = HTTPStatus.NOT_MODIFIED, b""
        del headers["content-length"]
        del headers["content-type"]
    await send({"type": "http.response.start", "status": status, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})


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
