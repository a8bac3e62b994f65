"""What routes and pages are given: the container, the caller, and a write that happens once.

The caller is had in this one way: an API key in ``Authorization``, or a session's cookie. A write that
comes with a cookie must carry the session's CSRF token, as the form field ``csrf`` or in ``X-CSRF-Token``.
"""

from __future__ import annotations

import datetime as dt
import hmac
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends, Header, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from api.auth import Caller, Scope
from api.errors import UnauthenticatedError
from api.idempotency import request_hash, require_key
from api.identity.errors import CsrfRefusedError, PlainHttpError, ProofTooOldError, RoleRefusedError
from api.identity.roles import Role
from api.identity.sessions import csrf_token
from api.ports import Container, Services
from chain.errors import YundanError

_bearer = HTTPBearer(auto_error=False, bearerFormat="yk_...", description="API key of a party")


def _container(request: Request) -> Container:
    return cast("Container", request.app.state.container)


TheContainer = Annotated[Container, Depends(_container)]


FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FRESH = dt.timedelta(minutes=10)
"""How long ago a person may have shown who he is for what is grave."""


def require_same_origin(request: Request) -> None:
    """Passes a write that a page of ours sends; a program that signs in says ``Sec-Fetch-Site: none``.

    Browsers tell the site over https and on this machine; over plain http from elsewhere they tell the origin.

    Raises:
        CsrfRefusedError: a page of another site sends it, or nothing says who does.
    """
    if request.method in SAFE:
        return
    # No page can forge either. Where the site is not told, the origin must be ours; an origin that is named must
    # be ours in any case ("null" is said by pages of no origin, and by ours under an older policy).
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    host = request.headers.get("host")
    named = origin != "null"
    ours = (site is not None or named) and (
        site in {None, "same-origin", "none"} and (not named or origin.partition("://")[2] == host)
    )
    if not ours:
        raise CsrfRefusedError(
            "this write was sent by a page of another site, or does not say which; reload our page and send it "
            "again (a program uses an API key, or says Sec-Fetch-Site: none)"
        )


def require_tls(request: Request, container: TheContainer) -> None:
    """Passes a sign-in whose cookie will come back: outside a demo it travels over TLS alone.

    Raises:
        PlainHttpError: this page came over plain http from another machine, so the browser would drop the cookie.
    """
    settings = container.settings
    host = (request.url.hostname or "").lower()
    near = host == "localhost" or host.endswith(".localhost") or host in {"127.0.0.1", "::1"}
    told_https = settings.public_url.startswith("https://")
    if settings.secure_cookies and request.url.scheme == "http" and not near and not told_https:
        raise PlainHttpError


async def _csrf_given(request: Request) -> str:
    """The CSRF token of a write with a cookie; a body is read for it only where it is a form."""
    if request.method in SAFE or not request.cookies or "authorization" in request.headers:
        return ""
    header = request.headers.get("x-csrf-token")
    if header is not None:
        return header
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() in FORMS:
        return str((await request.form()).get("csrf", ""))
    return ""


def find_caller(
    request: Request,
    container: TheContainer,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    csrf: Annotated[str, Depends(_csrf_given)],
) -> Caller | None:
    """Who calls; None where nobody says who he is.

    Raises:
        UnauthenticatedError: a key or session that opens nothing.
        CsrfRefusedError: a write with a session, but not from its page.
    """
    if credentials is not None:
        with container.read() as services:
            return services.keys.authenticate(
                credentials.credentials, request.client.host if request.client else ""
            )
    token = request.cookies.get(container.settings.session_cookie)
    if not token:
        return None
    with container.read() as services:
        caller, unseen = services.sessions.authenticate(token)
    expected = csrf_token(token)
    if request.method not in SAFE:
        require_same_origin(request)
        if not hmac.compare_digest(csrf.encode(), expected.encode()):
            raise CsrfRefusedError(field="csrf")
    if unseen:
        with container.write() as services:
            services.sessions.note_seen(caller.session_id)
    request.state.csrf = expected
    return caller


MaybeCaller = Annotated[Caller | None, Depends(find_caller)]


def _caller(caller: MaybeCaller) -> Caller:
    if caller is None:
        raise UnauthenticatedError
    return caller


TheCaller = Annotated[Caller, Depends(_caller)]


class Requires:
    """A dependency that passes callers whose key or role has a scope, and gives the caller."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __call__(self, caller: TheCaller) -> Caller:
        """The caller.

        Raises:
            ForbiddenScopeError: it has not.
        """
        caller.require(self.scope)
        return caller


class Seen:
    """A dependency that writes into the access log that the caller asked for personal data.

    Args:
        action: what he asked for, e.g. ``evidence``; about what stands in the path.
    """

    def __init__(self, action: str) -> None:
        self.action = action

    def __call__(self, request: Request, caller: TheCaller, container: TheContainer) -> None:
        """Notes it, whether it is then granted or not."""
        about = " ".join(str(value) for value in request.path_params.values())
        with container.write() as services:
            services.access.note(caller, self.action, about)


class RequiresRole:
    """A dependency that passes a person who has signed in with one of some roles, and gives the caller.

    Args:
        roles: any of these; any role at all if none is named.
        fresh: whether he must have shown who he is within the last ten minutes.
    """

    def __init__(self, *roles: Role, fresh: bool = False) -> None:
        self.roles = roles
        self.fresh = fresh

    def __call__(self, caller: TheCaller, container: TheContainer) -> Caller:
        """The caller.

        Raises:
            ForbiddenScopeError: a program calls, not a person.
            RoleRefusedError: his role is another.
            ProofTooOldError: it was too long ago.
        """
        caller.require_person()
        if self.roles and Role(caller.role) not in self.roles:
            raise RoleRefusedError(
                f"your role is {caller.role}; this is for {' or '.join(self.roles)}",
                role=caller.role,
            )
        if self.fresh:
            require_fresh(caller, container)
        return caller


def require_fresh(caller: Caller, container: Container) -> None:
    """Passes a person who has just shown who he is; a program shows it with every request.

    Raises:
        ProofTooOldError: it was too long ago.
    """
    if caller.proved_at is not None and container.wall.now() - caller.proved_at > FRESH:
        raise ProofTooOldError


Reader = Annotated[Caller, Depends(Requires(Scope.READ))]
MoneyMover = Annotated[Caller, Depends(Requires(Scope.ADVANCES))]
Drafter = Annotated[Caller, Depends(Requires(Scope.WAYBILLS))]
Deliverer = Annotated[Caller, Depends(Requires(Scope.DELIVERIES))]


async def _body(request: Request) -> bytes:
    return await request.body()


RawBody = Annotated[bytes, Depends(_body)]


class Once:
    """A write under an Idempotency-Key: the first request does it, a repetition gets its answer."""

    is_asked_for = True
    """Whether a request without the key is refused."""

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
        self.key = ""
        if idempotency_key is not None or self.is_asked_for:
            self.key = require_key(idempotency_key)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        content_type = request.headers.get("content-type", "")
        self._request = request_hash(
            request.method, path, content_type, body, key=container.hash_key
        )

    def run(
        self,
        caller: str,
        work: Callable[[Services], BaseModel | YundanError],
        status: int = HTTPStatus.CREATED,
        *,
        secret: bool = False,
    ) -> Response:
        """Does the work and keeps its answer in one transaction, or gives the kept answer.

        Args:
            caller: name of the caller; the same key of two callers is two keys.
            work: the use case; what it gives is the answer. An error that it gives, not raises, is raised
                once the transaction has committed: the try is counted, the key is free again.
            status: HTTP status of the answer.
            secret: whether the answer shows a secret; it is then kept for a day only.
        """
        with self._container.write() as services:
            kept = services.answers.begin(caller, self.key, self._request) if self.key else None
            if kept is not None:
                headers = {"Idempotent-Replayed": "true"}
                return Response(kept.body, kept.status, headers, media_type="application/json")
            done = work(services)
            if isinstance(done, YundanError):
                if self.key:
                    services.answers.give_back(caller, self.key)
            else:
                body = done.model_dump_json(by_alias=True)
                if self.key:
                    services.answers.keep(caller, self.key, int(status), body, secret=secret)
        if isinstance(done, YundanError):
            raise done
        return Response(body, status, media_type="application/json")

    def show(self, caller: str, prepared: BaseModel) -> Response:
        """Answers with what was prepared and is kept nowhere; under a key a repetition gets the same."""
        if not self.key:
            return Response(prepared.model_dump_json(by_alias=True), media_type="application/json")
        return self.run(caller, lambda _: prepared, HTTPStatus.OK)


class OnceWhereNamed(Once):
    """The same where the key may be left out: nothing is kept, or a repetition changes nothing anyhow."""

    is_asked_for = False


OnceOnly = Annotated[Once, Depends()]
OnceIfNamed = Annotated[OnceWhereNamed, Depends()]
