"""One trip: its page, its map, its evidence that the browser hashes again, its trail on the chain."""

from __future__ import annotations

import functools
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.background import BackgroundTask

from api.dependencies import TheContainer
from api.object_ids import About
from api.portals.chain_trail import runs_of, trail_of
from api.portals.rendering import by_day
from api.portals.shell import TheViewer, Viewer, show
from api.portals.trip_page import TripPages
from api.portals.trip_track import Ground, evidence_json, examined, track_json
from api.portals.views import TripPage
from api.portals.waterfall import waterfall_of
from api.ports import Container, Services
from api.schemas.values import HashText
from api.stages import Stage
from api.trip_stories import TripStory, get_trip, tell
from chain.delivery import HeldTrip
from chain.errors import NotFoundError
from chain.ids import TripId
from finance.service import AdvancePosition
from tracking.plot import WORDS as PLOT_WORDS
from tracking.plot import trip_svg

router = APIRouter(prefix="/trips", include_in_schema=False)

CONTRACTS = (
    "PartyRegistry", "WaybillRegistry", "DeliveryRegistry", "SettlementToken", "CreditFacility",
    "FreightAdvance", "FreightSettlement",
)  # fmt: skip

OVER = frozenset({Stage.REPAID, Stage.VOID})
"""Nothing changes on the page of such a trip by itself."""

PLOT_WORDS_ZH = {
    "corridor": "走廊",
    "road": "计划线路",
    "track": "轨迹",
    "off": "走廊之外",
    "silent": "失联",
    "refused": "剔除",
    "loading": "装货地",
    "unloading": "卸货地",
    "speed": "速度, km/h",
    "derived": "速度 (由位置推算), km/h",
    "pass": "通过",
    "review": "复核",
    "fail": "不通过",
    "none": "只有提示, 无异常",
    "covered": "线路已行驶",
    "fixes": "个定位点",
}


def _position(services: Services, trip: TripId) -> AdvancePosition | None:
    advance = services.books.find_advance_of_trip(trip)
    return None if advance is None else services.finance.show_advance(advance.advance)


def _story(services: Services, trip: str, viewer: Viewer) -> TripStory:
    held, leaf = get_trip(services, trip, viewer.caller)
    return tell(services, held, leaf)


def _page(container: Container, services: Services, trip: str, viewer: Viewer) -> TripPage:
    story = _story(services, trip, viewer)
    pages = TripPages(viewer.lang, demo=container.settings.demo)
    has_map = story.verdict is not None or services.tracks.find_trip(story.trip.id) is not None
    return pages.page(story, _position(services, story.trip.id), has_map=has_map)


@router.get("/{trip}")
def trip_page(
    trip: HashText, request: Request, viewer: TheViewer, container: TheContainer
) -> HTMLResponse:
    """Everything known of a trip."""
    with container.read() as services:
        page = _page(container, services, trip, viewer)
        documents = _documents(services, trip, viewer)
    return show(
        request, viewer.lang, "trip/trip.html",
        viewer=viewer, page=page, days=by_day(page.moments), documents=documents,
        waterfall=waterfall_of(page), is_live=page.card.stage not in OVER, tag=_tag(page),
        now_at=container.clock.now(),
    )  # fmt: skip


def _tag(page: TripPage) -> str:
    """Changes whenever something on the page has changed."""
    states = [moment.anchor.state for moment in page.moments if moment.anchor]
    return f"{len(page.moments)}.{page.card.stage.value}.{states.count('final')}"


@router.get("/{trip}/state")
def trip_state(
    trip: HashText, request: Request, viewer: TheViewer, container: TheContainer, seen: str = ""
) -> Response:
    """What changes while one looks: asked again and again; nothing is sent while nothing has changed."""
    with container.read() as services:
        page = _page(container, services, trip, viewer)
        documents = _documents(services, trip, viewer)
    if _tag(page) == seen:
        return Response(status_code=204)
    return show(
        request, viewer.lang, "trip/state.html",
        viewer=viewer, page=page, days=by_day(page.moments), documents=documents,
        waterfall=waterfall_of(page), is_live=page.card.stage not in OVER, tag=_tag(page),
        now_at=container.clock.now(),
    )  # fmt: skip


def _documents(services: Services, trip: str, viewer: Viewer) -> list[Any]:
    """Photos and papers about the trip, oldest first."""
    get_trip(services, trip, viewer.caller)
    return list(services.documents.list_about(About("trip", trip)))


@router.get("/{trip}/track.json")
def trip_track(trip: HashText, viewer: TheViewer, container: TheContainer) -> JSONResponse:
    """The road for the live map."""
    with container.read() as services:
        story = _story(services, trip, viewer)
        return JSONResponse(track_json(container, services, story, viewer.lang))


@router.get("/{trip}/map.svg")
def trip_map(trip: HashText, viewer: TheViewer, container: TheContainer) -> Response:
    """The track against the corridor, drawn from the evidence that was judged."""
    with container.read() as services:
        held, _ = get_trip(services, trip, viewer.caller)
        verdict = services.tracks.find_verdict(held.id)
        if verdict is None:
            raise NotFoundError("this trip was not judged yet")
    drawn = _draw(Ground(container, held.id, verdict.findings), viewer.lang)
    # The picture styles itself; nothing else may run in it, and it loads nothing.
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return Response(drawn, media_type="image/svg+xml", headers={"Content-Security-Policy": policy})


@functools.lru_cache(maxsize=256)
def _draw(ground: Ground, lang: str) -> str:
    words = PLOT_WORDS | PLOT_WORDS_ZH if lang == "zh" else PLOT_WORDS  # type: ignore[operator]  # both are dicts
    return trip_svg(examined(ground), words=words)


@router.get("/{trip}/evidence")
def evidence(
    trip: HashText, request: Request, viewer: TheViewer, container: TheContainer
) -> HTMLResponse:
    """The proof of a trip for a lender: road against corridor, every rule, photos, receipt, hashes."""
    with container.read() as services:
        page = _page(container, services, trip, viewer)
        story = _story(services, trip, viewer)
        documents = _documents(services, trip, viewer)
        takes_pack = _takes_pack(services, story.trip, viewer)
    return show(
        request, viewer.lang, "trip/evidence.html",
        viewer=viewer, page=page, documents=documents, receipt=story.trip, takes_pack=takes_pack,
        confirmed_by="" if story.trip.confirmed_by is None else story.name(story.trip.confirmed_by, viewer.lang),
    )  # fmt: skip


@router.get("/{trip}/evidence.json")
def evidence_data(trip: HashText, viewer: TheViewer, container: TheContainer) -> JSONResponse:
    """What the browser hashes again, beside what the chain recorded."""
    with container.read() as services:
        story = _story(services, trip, viewer)
    return JSONResponse(evidence_json(container, story))


def _takes_pack(services: Services, held: HeldTrip, viewer: Viewer) -> bool:
    """Whether a viewer may take the pack of a trip away: its lender, and a demo's observer."""
    advance = services.books.find_advance_of_trip(held.id)
    own = viewer.caller.party_id
    return viewer.caller.sees_all or (advance is not None and own == advance.lender)


@router.get("/{trip}/pack.zip")
def pack(
    trip: HashText, request: Request, viewer: TheViewer, container: TheContainer
) -> FileResponse:
    """The pack of a trip for its lender, as ``yundan audit export`` writes it; who took it is on the access log.

    Raises:
        NotFoundError: no such trip, or another's.
    """
    from api.audit.export import export_trip  # noqa: PLC0415  typesetter and proofs, for this page alone

    with container.write() as services:
        held, leaf = get_trip(services, trip, viewer.caller)
        if not _takes_pack(services, held, viewer):
            raise NotFoundError("the pack of a trip is for its lender")
        services.access.note(viewer.caller, "pack", trip)
        note = str(leaf.papers.get("shipping_note", ""))
    folder = tempfile.mkdtemp(prefix="yundan-pack-")
    path = Path(folder) / "pack.zip"
    try:
        done = export_trip(request.app.state.container, held.id, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    name = re.sub(r"[^0-9A-Za-z._-]", "-", note)[:60] or trip[2:14]
    return FileResponse(
        path,
        media_type="application/zip",
        filename=f"yundan-pack-{name}.zip",
        headers={"Yundan-Anchor": f"{done.anchor} {done.anchor_hash}"},
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


@router.get("/{trip}/chain")
def chain_trail(
    trip: HashText, request: Request, viewer: TheViewer, container: TheContainer
) -> HTMLResponse:
    """Every transaction of a trip: a sentence first, then its events with names, then the raw data."""
    with container.read() as services:
        story = _story(services, trip, viewer)
        page = _page(container, services, trip, viewer)
    handled = container.find_handled_block()
    addresses = {name: container.reader.address_of(name) for name in CONTRACTS}
    return show(
        request, viewer.lang, "trip/chain.html",
        viewer=viewer, page=page,
        trail=runs_of(
            trail_of(story, viewer.lang, head=handled.number if handled else 0, addresses=addresses)
        ),
    )  # fmt: skip
