"""Sessions of people: come in, see where one is signed in, end it. And who am I."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.auth import Caller
from api.dependencies import (
    OnceOnly,
    Reader,
    RequiresRole,
    TheContainer,
    require_same_origin,
    require_tls,
)
from api.identity.door import Entered
from api.identity.errors import SignInRefusedError
from api.identity.sessions import LIVES, OpenSession, csrf_token
from api.paging import ThePage
from api.ports import Container, Services
from api.routes.organisations import show_member
from api.schemas.identity import Me, SessionList, SessionShown, SignedIn, SignIn

router = APIRouter(tags=["sessions"])

Person = Annotated[Caller, Depends(RequiresRole())]


def place_of(request: Request) -> str:
    """The address a request came from."""
    return request.client.host if request.client else ""


def set_session_cookie(answer: Response, container: Container, token: str) -> None:
    """Gives a browser its session: no script reads it, no other site sends it."""
    answer.set_cookie(
        container.settings.session_cookie,
        token,
        httponly=True,
        samesite="strict",
        secure=container.settings.secure_cookies,
        max_age=int(LIVES.total_seconds()),
        path="/",
    )


def sign_in(
    request: Request, container: Container, login: str, password: str, code: str = ""
) -> Entered:
    """Lets somebody in at the door.

    Raises:
        SignInRefusedError: login or proof is wrong.
        ShutDoorError: too many attempts.
        PlainHttpError: the browser would not keep the session.
    """
    require_tls(request, container)
    with container.write() as services:
        entered = services.door.knock(
            login,
            password,
            place=place_of(request),
            agent=request.headers.get("user-agent", ""),
            code=code,
        )
    if isinstance(entered, SignInRefusedError):
        raise entered  # only now: the failure is counted in the database
    return entered


@router.post("/sessions", status_code=201, dependencies=[Depends(require_same_origin)])
def open_session(
    given: SignIn, request: Request, response: Response, container: TheContainer
) -> SignedIn:
    """Signs a person in; the session is in a cookie, the token for writes in the answer."""
    entered = sign_in(request, container, given.login, given.password, given.code or "")
    set_session_cookie(response, container, entered.token)
    return SignedIn(
        member=show_member(entered.member),
        organisation=entered.member.org,
        session=entered.session.id,
        csrf=csrf_token(entered.token),
    )


@router.get("/sessions")
def list_sessions(caller: Person, container: TheContainer, asked: ThePage) -> SessionList:
    """Where the caller is signed in."""
    with container.read() as services:
        found = services.sessions.list_of(caller.account_id)
    page = asked.cut(found, lambda one: one.id)
    return SessionList(data=[_show(one, caller) for one in page.rows], **page.ends)


@router.delete("/sessions/{session}", response_model=SessionShown)
def end_session(session: str, caller: Person, once: OnceOnly) -> Response:
    """Ends one of the caller's sessions, at once."""

    def work(services: Services) -> SessionShown:
        return _show(services.sessions.revoke(caller.account_id, session), caller)

    return once.run(caller.name, work, 200)


@router.get("/me")
def me(request: Request, caller: Reader) -> Me:
    """Who the caller is and what he may do."""
    return Me(
        name=caller.name,
        party=None if caller.party_id is None else str(caller.party_id),
        organisation=caller.org_id or None,
        role=caller.role or None,
        scopes=sorted(scope.value for scope in caller.scopes),
        csrf=getattr(request.state, "csrf", None),
    )


def _show(session: OpenSession, caller: Caller) -> SessionShown:
    return SessionShown(
        id=session.id,
        method=session.method,
        agent=session.agent,
        made_at=session.made_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
        is_this=session.id == caller.session_id,
    )
