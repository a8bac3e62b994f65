"""Health and readiness; the only routes that ask for no key."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.dependencies import TheContainer
from api.deprecation import DEPRECATIONS, NOTICE
from api.schemas.deliveries import Health, Readiness
from api.schemas.policy import DeprecationList, DeprecationShown

router = APIRouter(tags=["system"])


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
