"""The door: sign in, take up an invitation, see where one is signed in, go."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError

from api.dependencies import TheContainer, require_same_origin
from api.errors import ApiError
from api.identity.errors import InvitationRefusedError
from api.portals.shell import TheMember, lang_of, show
from api.portals.words import word
from api.routes.sessions import set_session_cookie, sign_in
from api.schemas.identity import LoginText
from api.schemas.values import NameText

router = APIRouter(include_in_schema=False, prefix="/door")

OursOnly = Depends(require_same_origin)


def _inside(path: str) -> str:
    """A path of ours to go on to; anything else is the home page."""
    safe = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if safe and "\\" not in path else "/"


@router.get("")
def door(
    request: Request, on: Annotated[str, Query(alias="next", max_length=300)] = "/"
) -> HTMLResponse:
    """Where people come in."""
    return show(
        request,
        lang_of(request),
        "door.html",
        refused="",
        login="",
        on=_inside(on),
        needs_code=False,
    )


@router.post("", dependencies=[OursOnly])
def enter(  # noqa: PLR0917  FastAPI fills them by name
    request: Request,
    container: TheContainer,
    login: Annotated[str, Form(max_length=80)],
    password: Annotated[str, Form(max_length=400)],
    code: Annotated[str, Form(max_length=30)] = "",
    on: Annotated[str, Form(alias="next", max_length=300)] = "/",
) -> Response:
    """Takes login, password and the second factor's code; no script and no other site can use the session's cookie."""
    try:
        entered = sign_in(request, container, login, password, code.strip())
    except ApiError as error:
        lang = lang_of(request)
        needs_code = error.code == "second_factor_needed"
        refused = {"too_many_attempts": "door_shut", "second_factor_needed": "door_needs_code"}.get(
            error.code, "door_refused_code" if code else "door_refused"
        )
        page = show(
            request, lang, "door.html",
            refused=word(refused, lang), login=login, on=_inside(on), needs_code=needs_code or bool(code),
        )  # fmt: skip
        page.status_code = 401
        return page
    answer = RedirectResponse(_inside(on), status_code=303)
    set_session_cookie(answer, container, entered.token)
    return answer


@router.post("/out")
def leave(viewer: TheMember, container: TheContainer) -> Response:
    """Ends this session."""
    with container.write() as services:
        services.sessions.revoke(viewer.caller.account_id, viewer.caller.session_id)
    answer = RedirectResponse("/door", status_code=303)
    answer.delete_cookie(
        container.settings.session_cookie,
        path="/",
        secure=container.settings.secure_cookies,
        httponly=True,
        samesite="strict",
    )
    return answer


@router.get("/sessions")
def sessions(request: Request, viewer: TheMember, container: TheContainer) -> HTMLResponse:
    """Where the viewer is signed in."""
    with container.read() as services:
        found = services.sessions.list_of(viewer.caller.account_id)
    return show(
        request, viewer.lang, "sessions.html",
        viewer=viewer, sessions=found, this=viewer.caller.session_id,
    )  # fmt: skip


@router.post("/sessions/{session}/end")
def end_session(session: str, viewer: TheMember, container: TheContainer) -> Response:
    """Ends one of the viewer's sessions."""
    with container.write() as services:
        services.sessions.revoke(viewer.caller.account_id, session)
    return RedirectResponse("/door/sessions", status_code=303)


@router.get("/invitation")
def invitation(
    request: Request,
    container: TheContainer,
    token: Annotated[str, Query(min_length=20, max_length=200)],
) -> HTMLResponse:
    """What somebody is invited to."""
    with container.read() as services:
        found = services.people.find_invited(token)
    if found is None:
        raise InvitationRefusedError
    return show(
        request, lang_of(request), "invitation.html",
        organisation=found[1].name, role=found[0].role.value, token=token, refused="",
    )  # fmt: skip


@router.post("/invitation", dependencies=[OursOnly])
def accept(  # noqa: PLR0917  FastAPI fills them by name
    request: Request,
    container: TheContainer,
    token: Annotated[str, Form(min_length=20, max_length=200)],
    login: Annotated[str, Form(max_length=80)],
    name: Annotated[str, Form(max_length=80)],
    password: Annotated[str, Form(max_length=400)],
) -> Response:
    """Makes an account of an invitation and signs its person in."""
    try:
        with container.write() as services:
            member = services.people.accept(
                token,
                login=TypeAdapter(LoginText).validate_python(login),
                name=TypeAdapter(NameText).validate_python(name),
                password=password,
            )
            _, cookie = services.sessions.open(
                member.account,
                member.id,
                method="invitation",
                agent=request.headers.get("user-agent", ""),
            )
    except (ApiError, ValidationError) as error:
        with container.read() as services:
            found = services.people.find_invited(token)
        if found is None:
            raise InvitationRefusedError from error
        lang = lang_of(request)
        code = getattr(error, "code", "name_refused")
        page = show(
            request, lang, "invitation.html",
            organisation=found[1].name, role=found[0].role.value, token=token,
            refused=word(f"door_{code}", lang),
        )  # fmt: skip
        page.status_code = 422
        return page
    answer = RedirectResponse("/", status_code=303)
    set_session_cookie(answer, container, cookie)
    return answer
