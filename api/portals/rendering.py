"""Templates to HTML: escaped, strict about unknown names, one set of formatters for every page."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jinja2

from api.portals.views import (
    BEIJING,
    STEPS,
    Moment,
    distance_text,
    money_text,
    share_text,
)
from api.portals.words import word


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("api.portals"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def when_text(at: dt.datetime | None) -> str:
    """An instant in Beijing to the minute; a dash where there is none."""
    return at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M") if at else "–"


def by_day(moments: Sequence[Moment]) -> list[tuple[str, list[Moment]]]:
    """The moments under their Beijing dates, oldest first."""
    ordered = sorted(moments, key=lambda moment: moment.at)
    days = itertools.groupby(ordered, key=lambda moment: moment.local.date().isoformat())
    return [(day, list(group)) for day, group in days]


def render(template: str, lang: str, **context: Any) -> str:
    """A page.

    Args:
        template: file name in ``templates``.
        lang: ``zh`` or ``en``.
        context: what the template asks for; a name it asks for in vain is an error.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            lang=lang,
            t=functools.partial(word, lang=lang),
            money=functools.partial(money_text, lang=lang),
            share=share_text,
            distance=distance_text,
            when=when_text,
            steps=STEPS,
            **context,
        )
    )
