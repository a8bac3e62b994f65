"""Health, readiness and metrics."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request, Response

from api.dependencies import TheContainer
from api.deprecation import DEPRECATIONS, NOTICE
from api.schemas.deliveries import Health, Readiness
from api.schemas.policy import DeprecationList, DeprecationShown
from chain.errors import NotFoundError

router = APIRouter(tags=["system"])
metrics_router = APIRouter(include_in_schema=False)


@metrics_router.get("/metrics")
def metrics(request: Request, container: TheContainer) -> Response:
    """What Prometheus asks: for this machine, or who shows the operator's token.

    Raises:
        NotFoundError: anybody else; said as if there were nothing here.
    """
    token = container.settings.metrics_token.get_secret_value()
    given = request.headers.get("authorization", "")
    shown = bool(token) and hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    # behind a proxy every caller looks like this machine, so then only the token counts
    local = not container.settings.public_url and (
        request.client is not None and request.client.host in {"127.0.0.1", "::1"}
    )
    if not (shown or local or (container.settings.demo and not token)):
        raise NotFoundError("there is no such page")
    return Response(container.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/health")
def health(container: TheContainer) -> Health:
    """This process lives; its business clock and chain."""
    return Health(status="ok", time=container.clock.now(), chain_id=container.settings.chain_id)


@router.get("/ready", responses={503: {"model": Readiness}})
def ready(container: TheContainer, response: Response) -> Readiness:
    """Database and chain answer; 503 and the reasons where they do not."""
    problems = list(container.problems())
    handled = None if problems else container.find_handled_block()
    if problems:
        response.status_code = 503
    return Readiness(
        ready=not problems,
        problems=problems,
        handled_block=handled.number if handled else None,
    )


@router.get("/deprecations")
def list_deprecations() -> DeprecationList:
    """What will go, when, and what takes its place; needs no key."""
    return DeprecationList(
        policy=(
            "Within /v1 nothing documented is taken away or changes its meaning; fields, parameters, codes and "
            f"events are only added. What is to go answers as before for at least {NOTICE.days} days, with "
            "Deprecation, Sunset and Link headers, and with 410 after that."
        ),
        data=[
            DeprecationShown(
                what=one.what,
                since=one.since,
                sunset=one.sunset,
                successor=one.successor,
                why=one.why,
            )
            for one in DEPRECATIONS
        ],
    )
