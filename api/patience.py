"""How long a caller may take to say what he wants, and how much: what trickles in or floods holds nothing.

uvicorn times idle connections but not half a request. Here a request's head must be whole within
``HEAD_S``, its body within ``BODY_S``; what is late is cut off (head) or told 408 (body), and the
connection is free again.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.errors import PROBLEM_TYPE
from api.problem_words import ZH, title_zh, wants_chinese

HEAD_S = 10.0
"""Seconds for a request's head."""

BODY_S = 60.0
"""Seconds for a request's body: 8 MiB at 140 kB a second."""


class PatientProtocol(H11Protocol):
    """uvicorn's own protocol, which ends a connection whose request has not said its head in time."""

    head_s = HEAD_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A connection: its first head is awaited from now on."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Some bytes: perhaps the first of another request's head."""
        if self._head_timer is None and not self._is_answering():
            self._await_head()
        super().data_received(data)
        if self._is_answering():
            self._head_is_here()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._head_is_here()
        super().connection_lost(exc)

    _head_timer: asyncio.TimerHandle | None = None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_s, self._give_up)

    def _head_is_here(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._is_answering() and not self.transport.is_closing():
            self.transport.close()


class _RefusedError(Exception):
    """The body is not read on: it came too slowly, or is too large."""


class Patience:
    """Gives the body of each request a size and a time; 413 and 408 beyond them, and nothing is read on.

    Args:
        app: what reads the body.
        most_bytes: of a body.
        body_s: seconds for the whole of it.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int, body_s: float = BODY_S) -> None:
        self._app = app
        self._most = most_bytes
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        end, size, whole, begun = loop.time() + self._body_s, 0, False, False
        refused: HTTPStatus | None = None
        told = Headers(scope=scope).get("content-length", "")
        if told.isdecimal() and int(told) > self._most:
            await _tell(scope, send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return

        async def within() -> Message:
            nonlocal size, whole, refused
            if whole:
                return await receive()  # what comes now is the end of the connection
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - loop.time()))
            except TimeoutError:
                refused = HTTPStatus.REQUEST_TIMEOUT
                raise _RefusedError from None
            size += len(message.get("body", b""))
            if size > self._most:
                refused = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                raise _RefusedError
            whole = not message.get("more_body")
            return message

        async def note(message: Message) -> None:
            nonlocal begun
            if refused is None or begun:  # else what the framework makes of it: 400, or nothing
                begun = True
                await send(message)

        try:
            await self._app(scope, within, note)
        except Exception:
            if refused is None:
                raise
        if refused is not None and not begun:
            await _tell(scope, send, refused)


_SAID = {
    HTTPStatus.REQUEST_TIMEOUT: ("request_timeout", "the body did not come in time; send it again"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "content_too_large",
        "the body is larger than 8 MiB; split the file",
    ),
}


async def _tell(scope: Scope, send: Send, status: HTTPStatus) -> None:
    chinese = wants_chinese(Headers(scope=scope).get("accept-language", ""))
    code, said = _SAID[status]
    problem: dict[str, Any] = {
        "type": f"urn:yundan:error:{code}",
        "title": title_zh(code) if chinese else code.replace("_", " "),
        "status": int(status),
        "code": code,
        "detail": ZH[code][1] if chinese else said,
        "request_id": scope.get("state", {}).get("request_id", ""),
    }
    body = json.dumps(problem, ensure_ascii=False).encode()
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),  # what is left of the body is not read
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
