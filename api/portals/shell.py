"""What every page stands in: who looks, in which language and light, the way between pages, refusals.

Pages of one face begin with ``Viewer`` and end with ``show``; nothing else reads a cookie.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import urlencode

import structlog
from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from api.auth import Caller, Scope
from api.dependencies import SAFE, TheContainer, find_caller
from api.errors import ApiError, UnauthenticatedError
from api.portals.rendering import render
from api.portals.tour import strip_of
from api.portals.words import choose_language, word
from api.ports import Container
from api.problem_words import detail_zh
from chain.errors import NotFoundError, YundanError
from chain.party import Party

_log = structlog.get_logger()

LANG_COOKIE, THEME_COOKIE = "yundan_lang", "yundan_theme"
THEMES = ("auto", "light", "dark")
YEAR_S = 31_536_000


class Face(StrEnum):
    """Whose pages these are."""

    FIRM = "firm"
    DRIVER = "driver"
    CONSIGNEE = "consignee"
    LENDER = "lender"


FACE_OF_KIND = {
    "lender": Face.LENDER,
    "driver": Face.DRIVER,
    "consignee": Face.CONSIGNEE,
}
"""Kind of a party -> its face; everyone else is a firm."""

NAVIGATION: dict[Face, tuple[tuple[str, str, str], ...]] = {
    Face.FIRM: (
        ("/firm", "nav_today", "home"),
        ("/firm/waybills", "nav_waybills", "list"),
        ("/firm/exceptions", "nav_exceptions", "bell"),
        ("/firm/credit", "nav_credit", "chart"),
        ("/approvals", "nav_approvals", "eye"),
        ("/firm/developer", "nav_developer", "key"),
    ),
    Face.LENDER: (
        ("/lender", "nav_portfolio", "chart"),
        ("/lender/loans", "nav_loans", "list"),
        ("/lender/lines", "nav_lines", "bank"),
        ("/approvals", "nav_approvals", "eye"),
        ("/lender/warnings", "nav_warnings", "bell"),
        ("/ledger", "nav_ledger", "book"),
    ),
    Face.DRIVER: (),
    Face.CONSIGNEE: (),
}
"""Face -> (address, word, icon) of its pages, in order."""


class DoorError(ApiError):
    """A page asks who is looking; the answer is the door."""

    code = "door"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, and in which language.

    Attributes:
        party: whom the caller speaks for; None for an observer.
    """

    caller: Caller
    lang: str
    party: Party | None = None

    @property
    def face(self) -> Face | None:
        """Whose pages are his; None for an observer, who may see them all."""
        return None if self.party is None else FACE_OF_KIND.get(self.party.kind, Face.FIRM)


def lang_of(request: Request) -> str:
    """The reader's language."""
    return choose_language(
        request.query_params.get("lang"),
        request.cookies.get(LANG_COOKIE),
        request.headers.get("accept-language", ""),
    )


def theme_of(request: Request) -> str:
    """The reader's light: ``auto`` follows his machine."""
    for given in (request.query_params.get("theme"), request.cookies.get(THEME_COOKIE)):
        if given in THEMES:
            return str(given)
    return "auto"


async def _csrf(request: Request) -> str:
    if request.method in SAFE or not request.cookies:
        return ""
    header = request.headers.get("x-csrf-token")
    return header if header is not None else str((await request.form()).get("csrf", ""))


def _viewer(
    request: Request, container: TheContainer, csrf: Annotated[str, Depends(_csrf)]
) -> Viewer:
    """The person whose session is in the cookie; in a demo, an observer who sees all and changes nothing."""
    lang = lang_of(request)
    try:
        caller = find_caller(request, container, None, csrf)
    except UnauthenticatedError:
        caller = None
        _log.info("session_over")
    if caller is not None:
        if caller.party_id is None:
            return Viewer(caller, lang)
        with container.read() as services:
            return Viewer(caller, lang, services.records.find_party(caller.party_id))
    if container.settings.demo and request.method in SAFE:
        observer = Caller("observer", None, frozenset({Scope.READ}), sees_all=True)
        return Viewer(observer, lang)
    raise DoorError


TheViewer = Annotated[Viewer, Depends(_viewer)]


def _member(viewer: TheViewer) -> Viewer:
    if not viewer.caller.is_person:
        raise DoorError
    return viewer


TheMember = Annotated[Viewer, Depends(_member)]
"""A person who has signed in; the observer of a demo is sent to the door."""


def _other(request: Request, **changes: str) -> str:
    """This page's address with some of its query changed."""
    return f"{request.url.path}?{urlencode({**request.query_params, **changes})}"


def show(
    request: Request, lang: str, template: str, *, viewer: Viewer | None = None, **context: Any
) -> HTMLResponse:
    """A page, with what every page needs; a chosen language or light is kept in a cookie.

    Templates have ``csrf``, which every form that posts carries; "" where nobody has signed in.

    Args:
        request: what is answered.
        lang: of the page.
        template: file name.
        viewer: who looks; without one the page has no navigation.
        context: what the template asks for.
    """
    container: Container = request.app.state.container
    handled = container.find_handled_block()
    theme = theme_of(request)
    face = _face(request, viewer)
    page = HTMLResponse(
        render(
            template,
            lang,
            demo=container.settings.demo,
            path=request.url.path,
            face=face.value if face else "",
            navigation=NAVIGATION[face] if face else (),
            party_name=_name(viewer, lang),
            viewer_party="" if viewer is None or viewer.party is None else str(viewer.party.id),
            theme=theme,
            theme_urls={name: _other(request, theme=name) for name in THEMES},
            other_lang_url=_other(request, lang="en" if lang == "zh" else "zh"),
            csrf=getattr(request.state, "csrf", ""),
            chain_note=str(handled.number) if handled else "–",
            tour_strip=strip_of(request, container),
            **context,
        )
    )
    for cookie, value in ((LANG_COOKIE, lang), (THEME_COOKIE, theme)):
        if request.query_params.get(cookie.removeprefix("yundan_")) == value:
            page.set_cookie(
                cookie, value, max_age=YEAR_S, samesite="lax", httponly=True,
                secure=container.settings.secure_cookies,
            )  # fmt: skip
    return page


def _face(request: Request, viewer: Viewer | None) -> Face | None:
    """Whose way between pages is shown: the viewer's own; an observer's follows the page he is on."""
    if viewer is None or viewer.face is not None:
        return None if viewer is None else viewer.face
    first = request.url.path.split("/")[1]
    return Face(first) if first in set(Face) else None


def require_face(viewer: Viewer, face: Face) -> None:
    """Passes those whose pages these are, and an observer.

    Raises:
        NotFoundError: they are another's.
    """
    if viewer.face not in {None, face}:
        raise NotFoundError("there is no such page")


def _name(viewer: Viewer | None, lang: str) -> str:
    if viewer is None or viewer.party is None:
        return ""
    return viewer.party.name_zh if lang == "zh" else viewer.party.name_en


def _detail(error: YundanError | None, lang: str) -> str:
    if error is None:
        return ""
    return detail_zh(error) if lang == "zh" else str(error)


def refusal(request: Request, status: int, error: YundanError | None = None) -> HTMLResponse:
    """What a person sees instead of a problem document: what is wrong, where, and what to do.

    Args:
        request: what is refused.
        status: of the answer.
        error: ours, where there is one: its message, its field and its facts are shown.
    """
    lang = lang_of(request)
    known = status if status in {401, 403, 404, 409, 413, 422, 429, 503} else 500
    page = show(
        request,
        lang,
        "refusal.html",
        status=status,
        title=word(f"refusal_{known}", lang),
        line=word(f"refusal_{known}_line", lang),
        detail=_detail(error, lang) if known not in {404, 500} else "",
        field="" if error is None else error.field,
        request_id=getattr(request.state, "request_id", ""),
    )
    page.status_code = status
    return page
