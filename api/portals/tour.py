"""The demo's guided tour: from the waybill to the lender pack, one page after the other, each told where to look.

A step is a page that is there anyhow; ``?tour=N`` puts a strip above it with what to see and the way on.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from api.board import Wanted
from api.ports import Container, Services
from api.stages import Stage


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the tour.

    Attributes:
        name: its words are ``tour_NAME`` and ``tour_NAME_line``.
        address: of its page, without what makes it a step.
        anchor: where on the page to look, "" for its top.
        number: from 1.
    """

    name: str
    address: str
    anchor: str
    number: int

    @property
    def href(self) -> str:
        """The page as this step."""
        more = "&" if "?" in self.address else "?"
        return f"{self.address}{more}tour={self.number}{self.anchor}"


@dataclass(frozen=True, slots=True)
class Strip:
    """What stands above a page of the tour."""

    step: Step
    count: int
    before: Step | None
    after: Step | None


def steps_of(services: Services) -> list[Step]:
    """The steps over the trips that are there: a paid one where there is one."""
    paid = services.board.page(None, Wanted(stages=(Stage.REPAID, Stage.PAID)), limit=1)
    trip = f"/trips/{paid[0].trip}" if paid else "/firm/waybills"
    below = "" if not paid else "/evidence"
    pages = (
        ("waybill", "/firm/new", ""),
        ("trip", trip, ""),
        ("held", "/firm/exceptions", ""),
        ("evidence", f"{trip}{below}", ""),
        ("chain", f"{trip}/chain" if paid else trip, ""),
        ("portfolio", "/lender", ""),
        ("pack", f"{trip}{below}", "#pack" if paid else ""),
    )
    return [Step(*page, number) for number, page in enumerate(pages, 1)]


def strip_of(request: Request, container: Container) -> Strip | None:
    """The strip above a page; None where no step of the demo's tour is shown."""
    asked = request.query_params.get("tour", "")
    if not container.settings.demo or not asked.isdecimal() or len(asked) > 2:
        return None
    with container.read() as services:
        steps = steps_of(services)
    place = int(asked) - 1
    if not 0 <= place < len(steps) or steps[place].address.partition("?")[0] != request.url.path:
        return None
    return Strip(
        step=steps[place],
        count=len(steps),
        before=steps[place - 1] if place else None,
        after=steps[place + 1] if place + 1 < len(steps) else None,
    )
