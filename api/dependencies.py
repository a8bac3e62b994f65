"""What routes are given: the container, the caller, and a write that happens once."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, Header, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from api.auth import Caller, Scope
from api.errors import UnauthenticatedError
from api.idempotency import request_hash, require_key
from api.ports import Container, Services

_bearer = HTTPBearer(auto_error=False, bearerFormat="yk_...", description="API key of a party")


def _container(request: Request) -> Container:
    return cast("Container", request.app.state.container)


TheContainer = Annotated[Container, Depends(_container)]


def _caller(
    container: TheContainer,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    if credentials is None:
        raise UnauthenticatedError
    with container.read() as services:
        return services.keys.authenticate(credentials.credentials)


TheCaller = Annotated[Caller, Depends(_caller)]


class Requires:
    """A dependency that passes callers whose key has a scope, and gives the caller."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, caller: TheCaller) -> Caller:
        """The caller.

        Raises:
            ForbiddenScopeError: his key lacks the scope.
        """
        caller.require(self.scope)
        return caller


Reader = Annotated[Caller, Depends(Requires(Scope.READ))]


async def _body(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_body)]


class Once:
    """A write under an Idempotency-Key: the first request does it, a repetition gets its answer."""

    def __init__(
        self,
        request: Request,
        container: TheContainer,
        body: RawBody,
        idempotency_key: Annotated[
            str | None,
            Header(description="new for each act; 1 to 255 visible characters", max_length=1000),
        ] = None,
    ) -> None:
        self._container = container
        self._key = require_key(idempotency_key)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        content_type = request.headers.get("content-type", "")
        self._request = request_hash(request.method, path, content_type, body)

    def run(
        self,
        caller: str,
        work: Callable[[Services], BaseModel],
        status: int = HTTPStatus.CREATED,
    ) -> Response:
        """Does the work and keeps its answer in one transaction, or gives the kept answer.

        Args:
            caller: name of the caller; the same key of two callers is two keys.
            work: the use case; what it gives is the answer.
            status: HTTP status of the answer.
        """
        with self._container.write() as services:
            kept = services.answers.begin(caller, self._key, self._request)
            if kept is not None:
                headers = {"Idempotent-Replayed": "true"}
                return Response(kept.body, kept.status, headers, media_type="application/json")
            body = work(services).model_dump_json(by_alias=True)
            services.answers.keep(caller, self._key, int(status), body)
        return Response(body, status, media_type="application/json")


OnceOnly = Annotated[Once, Depends()]
