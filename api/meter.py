"""How many requests a minute: each key, session or address by itself, told in headers on every answer.

Counted in this process: several API processes each give the whole allowance, and a proxy in front holds the
sum. Keys that open nothing are counted by address, so that guessing ends soon without harm to anybody whose
key is right.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from http import HTTPStatus

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import PROBLEM_TYPE
from api.problem_words import title_zh, wants_chinese

MOST_REFUSED = 600
"""Answers of 401 a minute to one address before it is asked to wait."""

UNMETERED = ("/v1/health", "/v1/ready")


class Meter:
    """Counts requests to /v1 and refuses those beyond the allowance with 429.

    Args:
        app: what is metered.
        per_minute: requests of one caller.
    """

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self._app = app
        self._rate = RateLimitItemPerMinute(per_minute)
        self._refusals = RateLimitItemPerMinute(MOST_REFUSED)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if (
            scope["type"] != "http"
            or not scope["path"].startswith("/v1/")
            or scope["path"] in UNMETERED
        ):
            await self._app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        caller = _caller(Headers(scope=scope), address)
        allowed = self._limiter.hit(self._rate, caller) and self._limiter.test(
            self._refusals, "refused", address
        )
        window = self._limiter.get_window_stats(self._rate, caller)
        wait = max(1, math.ceil(window.reset_time - time.time()))  # noqa: TID251  the library counts by it

        async def metered(message: Message) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == HTTPStatus.UNAUTHORIZED:
                    self._limiter.hit(self._refusals, "refused", address)
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Limit"] = str(self._rate.amount)
                headers["RateLimit-Remaining"] = str(max(0, window.remaining))
                headers["RateLimit-Reset"] = str(wait)
                if message["status"] == HTTPStatus.TOO_MANY_REQUESTS:
                    headers.setdefault("Retry-After", str(wait))
            await send(message)

        if allowed:
            await self._app(scope, receive, metered)
        else:
            await _refuse(scope, metered, wait)


def _caller(headers: Headers, address: str) -> str:
    """Who is counted: the key or the session that was given, whole, so that nobody uses up another's."""
    given = headers.get("authorization") or headers.get("cookie")
    return hashlib.sha256(given.encode()).hexdigest()[:32] if given else f"address {address}"


async def _refuse(scope: Scope, send: Send, wait: int) -> None:
    chinese = wants_chinese(Headers(scope=scope).get("accept-language", ""))
    body = json.dumps(
        {
            "type": "urn:yundan:error:too_many_requests",
            "title": title_zh("too_many_requests") if chinese else "too many requests",
            "status": 429,
            "code": "too_many_requests",
            "detail": f"请求过于频繁，请等待 {wait} 秒（Retry-After）。"
            if chinese
            else f"too many requests in this minute; wait {wait} s (Retry-After)",
            "request_id": scope.get("state", {}).get("request_id", ""),
        },
        ensure_ascii=False,
    ).encode()
    headers = [(b"content-type", PROBLEM_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})
