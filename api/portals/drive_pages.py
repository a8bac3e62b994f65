"""The demo's "drive" button: orders a trip, and shows it on a map until the driver's money lands.

The page is told everything over one stream of events; positions are those that the gateway has kept.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.demo_orders import Mode, Orders
from api.dependencies import TheContainer, require_same_origin
from api.driver_tasks import money_stages
from api.portals.shell import lang_of, show
from api.ports import Container
from chain.clock import rfc3339
from chain.errors import NotFoundError
from chain.ids import TripId
from tracking.plan import Plan

router = APIRouter(prefix="/demo", include_in_schema=False)

LOOK_S = 0.5
LONGEST_S = 900
"""A stream ends after so long; a browser that still looks asks again by itself."""

MONEY = ("signed", "attested", "released", "instructed", "accepted", "paid")
STAGES = (
    "waiting", "contract", "advance", "loading", "road", "arrived", "receipt", "money", "done",
)  # fmt: skip


def _orders(container: Container) -> Orders:
    """The demo's orders.

    Raises:
        NotFoundError: this is no demo.
    """
    if not container.settings.demo:
        raise NotFoundError("there is no such page")
    return Orders(container.settings.var)


@router.post("/drives", dependencies=[Depends(require_same_origin)])
def order(container: TheContainer, mode: Annotated[Mode, Form()] = "watch") -> Response:
    """Orders a drive and leads to its page."""
    name = _orders(container).place("drive", mode=mode)
    return RedirectResponse(f"/demo/drives/{name}", status_code=303)


@router.post("/seats", dependencies=[Depends(require_same_origin)])
def take_seat(container: TheContainer) -> dict[str, str]:
    """The demo driver's seat, for the phone that asks: where to fetch it."""
    return {"order": _orders(container).place("seat")}


@router.get("/orders/{name}")
def get_order(name: str, container: TheContainer) -> dict[str, Any]:
    """What became of an order."""
    return dict(_orders(container).get(name))


@router.get("/drives/{name}")
def drive(name: str, request: Request, container: TheContainer) -> HTMLResponse:
    """The page of one drive."""
    order = _orders(container).get(name)
    return show(
        request,
        lang_of(request),
        "drive.html",
        name=name,
        order=order,
        stages=STAGES,
        money_stages=MONEY,
    )


@router.get("/drives/{name}/events")
async def events(name: str, container: TheContainer) -> StreamingResponse:
    """Everything about a drive as it happens, as server-sent events."""
    await run_in_threadpool(_orders(container).get, name)

    async def stream() -> AsyncIterator[bytes]:
        seen, last = 0, ""
        for _ in range(int(LONGEST_S / LOOK_S)):
            told = await run_in_threadpool(_look, container, name, seen)
            seen += len(told["points"])
            text = json.dumps(told, ensure_ascii=False)
            if text != last:
                yield f"data: {text}\n\n".encode()
                last = text
            if told["stage"] in {"failed", "held"} or (told["stage"] == "done"):
                yield b"event: end\ndata: {}\n\n"
                return
            await asyncio.sleep(LOOK_S)

    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


def _look(container: Container, name: str, seen: int) -> dict[str, Any]:
    """What is known of a drive now; only positions after the ``seen`` first."""
    order = dict(_orders(container).get(name))
    told: dict[str, Any] = {
        "stage": order.get("stage", "waiting"),
        "error": order.get("error", ""),
        "trip": order.get("trip", ""),
        "link": order.get("link", ""),
        "code": order.get("code", ""),
        "points": [],
        "money": [],
        "paid_fen": 0,
    }
    if not told["trip"]:
        return told
    with container.read() as services:
        trip = TripId(str(told["trip"]))
        held, road = services.records.find_trip(trip), services.tracks.find_trip(trip)
        if held is None:
            return told
        leaf = services.records.get_waybill(held.leaf)
        told["paid_fen"] = leaf.paid
        advance = services.books.find_advance_of_trip(trip)
        own = services.books.list_payees([advance.advance])[advance.advance][:1] if advance else []
        told["money"] = [
            {"stage": one.stage, "at": rfc3339(one.at) if one.at else None}
            for one in money_stages(services, held, own[0] if own else None)
        ]
        fixes = services.tracks.list_fixes(road.terminal, road.opens, road.closes) if road else []
    told["points"] = [[fix.lon_e6 / 1e6, fix.lat_e6 / 1e6] for fix in fixes[seen:]]
    if leaf.plan and not seen:
        plan = Plan.from_json(leaf.plan)
        told["road"] = [[float(lon), float(lat)] for lon, lat in plan.route]
        told["corridor_m"] = leaf.plan["corridor_half_width_m"]
        told["places"] = [leaf.papers.get("origin", ""), leaf.papers.get("destination", "")]
    return told
