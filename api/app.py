"""The application: doors, request ids, headers. Built from a container, so tests build it too."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors, openapi
from api.meter import Meter
from api.metrics import RequestMetrics
from api.patience import Patience
from api.portals import (
    assets,
    borrowing,
    door,
    drive_pages,
    firm,
    firm_work,
    lender,
    line_terms,
    loans,
    pages,
    people_pages,
    phone_pages,
    shell,
    trips,
)
from api.ports import Container
from api.routes import ALL_ROUTERS, system
from api.settings import Settings
from api.validators import Tags

MAX_BODY_BYTES = 8 * 1024 * 1024
"""Room for 20,000 waybills as CSV; anything larger is refused while it is read."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger()

SECURITY_HEADERS = {
    # Nothing from another host, nothing written into a page: scripts and styles are files of ours.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
        "object-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Same-origin, so that a browser says "Origin" with our forms where it says no Sec-Fetch-Site (plain http).
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _headers_of(settings: Settings) -> dict[str, str]:
    """The headers of every answer; a source of map tiles, and nothing else, widens them."""
    headers = dict(SECURITY_HEADERS)
    if settings.public_url.startswith("https://") or settings.tls_cert is not None:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if settings.map_tiles:
        parts = urlsplit(settings.map_tiles)
        policy = SECURITY_HEADERS["Content-Security-Policy"]
        for rule in ("img-src 'self'", "connect-src 'self'"):
            policy = policy.replace(rule, f"{rule} {parts.scheme}://{parts.netloc}")
        headers["Content-Security-Policy"] = policy
    return headers


def _route_of(scope: Scope) -> str:
    path: str = getattr(scope.get("route"), "path", "")
    within = scope["path"].startswith("/v1/") and not path.startswith("/v1/")
    return f"/v1{path}" if path and within else path or "(none)"


class Edge:
    """Outermost layer: a request id for every request, headers for every answer, one log line."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], requests: RequestMetrics) -> None:
        self._app = app
        self._requests = requests
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id
        begin, status = time.perf_counter(), 0

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in scope["state"].get("headers", {}).items():
                    headers[name] = value
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, finish)
            finally:
                seconds = time.perf_counter() - begin
                # the route, not the path: a path may hold a link's token or a terminal's phone
                route = _route_of(scope)
                self._requests.note(scope["method"], route, status, seconds)
                _log.info(
                    "request",
                    method=scope["method"],
                    route=route,
                    status=status,
                    ms=round(seconds * 1000, 1),
                )


def create_app(container: Container) -> FastAPI:
    """The application over a container; the container is closed with it.

    Args:
        container: what ``api.bootstrap`` has built.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            container.close()

    app = FastAPI(
        title="Yundan",
        summary="Same-day freight for truck drivers, on evidence every lender can check",
        version="1",
        lifespan=lifespan,
        # The interactive pages load scripts from another host; the document itself stands.
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
    )
    app.state.container = container
    errors.install(app, shell.refusal)
    for router in ALL_ROUTERS:
        app.include_router(router, prefix="/v1")
    app.include_router(system.metrics_router)
    app.include_router(assets.router)
    app.include_router(door.router)
    app.include_router(pages.router)
    app.include_router(people_pages.router)
    app.include_router(firm.router)
    app.include_router(firm_work.router)
    app.include_router(borrowing.router)
    app.include_router(trips.router)
    app.include_router(phone_pages.router)
    app.include_router(lender.router)
    app.include_router(line_terms.router)
    app.include_router(loans.router)
    app.include_router(drive_pages.router)
    app.add_middleware(Tags)
    app.add_middleware(Patience, most_bytes=MAX_BODY_BYTES)
    app.add_middleware(Meter, per_minute=container.settings.rate_per_minute)
    mode = {"Yundan-Mode": container.settings.mode_name}
    app.add_middleware(
        Edge,
        headers=_headers_of(container.settings) | mode,
        requests=container.requests,
    )
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    return app
