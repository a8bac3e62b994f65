"""Templates to HTML: escaped, strict about unknown names, one set of formatters for every page."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import re
from collections.abc import Sequence
from typing import Any

import jinja2

from api.portals.assets import asset, icon
from api.portals.status import status_of
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
def _environment(lang: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("api.portals"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        lang=lang,
        t=functools.partial(word, lang=lang),
        asset=asset,
        drawn=icon,
        money=functools.partial(money_text, lang=lang),
        share=share_text,
        distance=distance_text,
        when=when_text,
        clock=clock_text,
        duration=functools.partial(duration_text, lang=lang),
        status_of=status_of,
        device=device_text,
        steps=STEPS,
    )
    return environment


def when_text(at: dt.datetime | None, *, seconds: bool = False) -> str:
    """An instant in Beijing to the minute, with its date; a dash where there is none."""
    return at.astimezone(BEIJING).strftime(f"%Y-%m-%d %H:%M{':%S' * seconds}") if at else "–"


def clock_text(at: dt.datetime | None) -> str:
    """The time of day in Beijing; for use under its date."""
    return at.astimezone(BEIJING).strftime("%H:%M") if at else "–"


def duration_text(seconds: int, lang: str) -> str:
    """A length of time in its two largest units.

    >>> duration_text(95, "en"), duration_text(3720, "zh"), duration_text(190_000, "en")
    ('1 min 35 s', '1 小时 2 分', '2 d 4 h')
    """
    names = ("天", "小时", "分", "秒") if lang == "zh" else ("d", "h", "min", "s")
    sizes = (86_400, 3_600, 60, 1)
    rest = max(0, seconds)
    parts: list[str] = []
    for size, name in zip(sizes, names, strict=True):
        count, rest = divmod(rest, size)
        if count or (size == 1 and not parts):
            parts.append(f"{count} {name}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


_BROWSERS = (
    ("MicroMessenger", "WeChat"), ("Edg", "Edge"), ("Firefox", "Firefox"), ("OPR", "Opera"),
    ("HeadlessChrome", "Chrome"), ("Chrome", "Chrome"), ("Version", "Safari"),
)  # fmt: skip
_MACHINES = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("HarmonyOS", "HarmonyOS"),
    ("Windows", "Windows"), ("Mac OS X", "Mac"), ("Linux", "Linux"),
)  # fmt: skip


def device_text(agent: str) -> str:
    """A browser and its machine as people call them; what nobody knows stays as it says of itself.

    >>> device_text("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0 Safari/537.36")
    'Chrome 143 · Linux'
    """
    found = (re.search(rf"\b{mark}/(\d+)", agent) for mark, _ in _BROWSERS)
    browser = next(
        (f"{name} {seen[1]}" for (_, name), seen in zip(_BROWSERS, found, strict=True) if seen), ""
    )
    machine = next((name for mark, name in _MACHINES if mark in agent), "")
    return " · ".join(part for part in (browser, machine) if part) or agent[:80] or "–"


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
    return _environment(lang).get_template(template).render(**context)
