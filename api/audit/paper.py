"""The pack for people as a PDF, made from the pack itself: whoever has typst can make the same bytes again."""

from __future__ import annotations

import functools
import itertools
import json
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typst

from api.verifier import pack as packs
from api.verifier.page import COMMANDS, HOW, sheet_of
from api.verifier.road import evidence_of
from chain.errors import YundanError
from tracking.evidence import examine_evidence
from tracking.plot import trip_svg
from tracking.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from api.verifier.reading import Reading

FONTS = Path("node_modules/@embedpdf/fonts-sc/fonts")
WORDS = {
    "corridor": "走廊",
    "road": "计划路线",
    "track": "轨迹",
    "off": "走廊外",
    "silent": "无定位",
    "refused": "弃用",
    "loading": "装货",
    "unloading": "卸货",
    "speed": "速度 km/h",
    "derived": "速度 km/h（由定位推算）",
    "pass": "通过 PASS",
    "review": "复核 REVIEW",
    "fail": "不通过 FAIL",
    "none": "无异常 no findings beyond observations",
    "covered": "路线已行驶",
    "fixes": "有效定位点",
}


class FontsMissingError(YundanError):
    """The fonts of the PDF are not installed: run make setup."""

    code = "fonts_missing"


def maker() -> str:
    """What makes the bytes; another version may set the same text in other bytes.

    Raises:
        FontsMissingError: it cannot make them here.
    """
    _compiler()
    return f"typst {metadata.version('typst')}"


def render_paper(reading: Reading) -> bytes:
    """The PDF of a pack as it was read; the same pack gives the same bytes.

    Raises:
        FontsMissingError: the Chinese fonts are not installed.
    """
    sheet = sheet_of(reading) | {"how": list(HOW), "commands": COMMANDS}
    picture = _picture(reading)
    sheet["timeline"] = list(_gathered(sheet["timeline"]))
    sheet["pictures"] = [] if picture is None else ["road.svg"]
    inputs = {"sheet": json.dumps(sheet, ensure_ascii=False), "road": picture or ""}
    template = resources.files("api.audit").joinpath("paper.typ").read_bytes()
    made: bytes = _compiler().compile(
        template, format="pdf", sys_inputs=inputs, timestamp=0, pdf_standards="a-2b"
    )
    return made


def _gathered(timeline: Iterable[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """A row for each run of one event that says nothing more, such as batches committed on the way."""
    for (event, more), run in itertools.groupby(timeline, key=lambda one: (one["en"], one["more"])):
        rows = list(run)
        if more or not event:
            yield from ({**row, "count": 1} for row in rows)
        else:
            yield {**rows[0], "count": len(rows)}


def _picture(reading: Reading) -> str | None:
    """The map and the speed of the drive; None where frames, plan or policy are not in the pack."""
    track, policy = reading.pack.json(packs.TRACK), reading.pack.files.get(packs.POLICY)
    if track is None or policy is None or reading.chain.plan is None:
        return None
    evidence = evidence_of(track, reading.chain, [], reading.trip)
    try:
        examined = examine_evidence(evidence, Policy.of_toml(policy.decode()))
    except YundanError:
        return None
    return trip_svg(examined, words=WORDS)


@functools.cache
def _compiler() -> Any:
    root = Path(str(resources.files("api"))).parent
    if not (root / FONTS).is_dir():
        raise FontsMissingError("the PDF's fonts are not installed: run make setup")
    fonts = typst.Fonts(include_system_fonts=False, font_paths=[str(root / FONTS)])
    return typst.Compiler(font_paths=fonts, ignore_system_fonts=True)
