"""Trips: those that concern the caller, and everything known of one."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api.dependencies import Reader, TheContainer
from api.paging import ThePage
from api.routes.expansion import expand_parties
from api.schemas.deliveries import EventShown, SentShown, TripPage, TripShown, TripTold
from api.schemas.live import AlertShown, ProgressShown, TripLive
from api.schemas.records import AttestationList, AttestationShown
from api.schemas.values import Instant, TripText
from api.trip_stories import TripStory, get_trip, list_visible, tell
from api.validators import tagged
from chain.delivery import HeldTrip
from chain.ports import Outgoing
from chain.waybill import HeldWaybill
from tracking.alerts import CODES
from tracking.instants import instant
from tracking.stream import Progress

router = APIRouter(prefix="/trips", tags=["trips"])


def show_trip(trip: HeldTrip, leaf: HeldWaybill, verdict: str) -> TripShown:
    """A trip as it stands."""
    return TripShown(
        id=trip.id,
        waybill=leaf.id,
        shipping_note=str(leaf.papers.get("shipping_note", "")),
        serial=str(leaf.papers.get("serial", "")),
        state=trip.state.name.lower(),
        verdict=verdict,
        loaded_milli=trip.loaded,
        accepted_milli=trip.accepted,
        loaded_at=trip.loaded_at,
        confirmed_at=trip.confirmed_at,
        completed_at=trip.completed_at,
        disputed=trip.disputed,
        freight_fen=leaf.freight,
        paid_fen=leaf.paid,
        driver=str(leaf.form.performer),
    )


Expanded = Annotated[
    list[Literal["driver"]] | None,
    Query(
        max_length=1,
        description="parties to show whole under `expanded`",
        examples=[["driver"]],
    ),
]


@router.get("")
def list_trips(
    *,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[TripText | None, Query()] = None,
    ending_before: Annotated[TripText | None, Query()] = None,
    expand: Expanded = None,
) -> TripPage:
    """Trips that concern the caller, by id."""
    with container.read() as services:
        visible = list_visible(
            services,
            caller,
            after=starting_after or "",
            before=ending_before or "",
            limit=limit + 1,
        )
        page = visible[-limit:] if ending_before else visible[:limit]
        verdicts = services.tracks.list_verdicts([trip.id for trip, _ in page])
        drivers = [{"driver": path[0].form.performer} for _, path in page]
        expanded = expand_parties(services, drivers, expand or ())
    more = len(visible) > limit
    return TripPage(
        data=[
            show_trip(
                trip, path[0], verdicts[trip.id].verdict if trip.id in verdicts else ""
            ).model_copy(update={"expanded": shown})
            for (trip, path), shown in zip(page, expanded, strict=True)
        ],
        has_more=more,
        next_cursor=page[-1][0].id if more else None,
    )


@router.get("/{trip}", response_model=TripTold)
def get_one(
    trip: TripText,
    request: Request,
    caller: Reader,
    container: TheContainer,
    expand: Expanded = None,
) -> Response:
    """A trip with its waybills, the judge's word, the attestations and the chain's story of it."""
    with container.read() as services:
        held, leaf = get_trip(services, trip, caller)
        story = show_story(tell(services, held, leaf))
        (shown,) = expand_parties(services, [{"driver": leaf.form.performer}], expand or ())
    return tagged(request, story.model_copy(update={"expanded": shown}))


@router.get("/{trip}/live")
def get_live(
    trip: TripText,
    caller: Reader,
    container: TheContainer,
    since: Annotated[
        Instant | None, Query(description="alerts raised at or after this instant")
    ] = None,
) -> TripLive:
    """Where a trip is now, when it should arrive, and what was told of it while it drove, newest first."""
    with container.read() as services:
        held, _ = get_trip(services, trip, caller)
        progress = services.tracking.find_progress(held.id)
        alerts = services.tracking.list_alerts(
            [held.id], since=0 if since is None else int(since.timestamp())
        )
    return TripLive(
        trip=held.id,
        progress=None if progress is None else _show_progress(progress),
        alerts=[
            AlertShown(
                code=one.alert.code,
                says=CODES.get(one.alert.code, ""),
                severity=one.alert.severity.value,
                at=instant(one.alert.at),
                raised=instant(one.raised),
                detail=one.alert.detail,
            )
            for one in alerts
        ],
    )


def _show_progress(progress: Progress) -> ProgressShown:
    at, departed, arrived, eta = (
        None if seconds is None else instant(seconds)
        for seconds in (progress.at, progress.departed_at, progress.arrived_at, progress.eta)
    )
    return ProgressShown(
        along_m=progress.along_m,
        length_m=progress.length_m,
        off_m=progress.off_m,
        on_route=progress.on_route,
        at=at,
        departed_at=departed,
        arrived_at=arrived,
        eta=eta,
    )


def show_story(story: TripStory) -> TripTold:
    """A story as JSON."""
    verdict = story.verdict
    shown = show_trip(story.trip, story.leaf, verdict.verdict if verdict else "")
    return TripTold(
        **shown.model_dump(),
        chain=[waybill.id for waybill in story.chain],
        judged=dict(verdict.document) if verdict else None,
        trajectory_root=verdict.root if verdict else "",
        attestations=[
            {
                "attestor": str(one.attestor),
                "verdict": one.verdict,
                "root": one.root,
                "findings": one.findings,
                "on_chain": one.attested is not None,
            }
            for one in story.attestations
        ],
        batches=len(story.batches),
        timeline=[
            EventShown(
                event=one.event,
                at=one.at,
                block=one.block_number,
                transaction=one.transaction_hash,
                facts=dict(one.facts),
            )
            for one in story.filed
        ],
        sent=[show_sent(one) for one in story.sent],
    )


def show_sent(sent: Outgoing) -> SentShown:
    """What has become of a call."""
    return SentShown(
        function=f"{sent.contract}.{sent.function}",
        state=sent.state.value,
        transaction=sent.transaction_hash,
        block=sent.block_number,
        gas_used=sent.gas_used,
        error=sent.error,
        message=sent.message,
    )


@router.get("/{trip}/attestations")
def list_attestations(
    trip: TripText, caller: Reader, container: TheContainer, asked: ThePage
) -> AttestationList:
    """The signed verdicts on a trip's drive."""
    with container.read() as services:
        held, _ = get_trip(services, trip, caller)
        found = services.tracks.list_attestations(held.id)
    page = asked.cut(found, lambda one: f"{one.attestor}~{one.root}~{one.findings}")
    return AttestationList(
        data=[
            AttestationShown(
                attestor=str(one.attestor),
                verdict=one.verdict,
                root=one.root,
                findings=one.findings,
                on_chain=one.attested is not None,
            )
            for one in page.rows
        ],
        **page.ends,
    )
