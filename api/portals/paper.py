"""Tables on paper: a PDF in either language, with embedded fonts, made by typst from data alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import typst

from api.portals.assets import NODE_MODULES

FONTS = NODE_MODULES / "@embedpdf" / "fonts-sc" / "fonts"

SOURCE = r"""
#let given = json(bytes(sys.inputs.at("given")))
#set page(paper: "a4", margin: (x: 18mm, y: 20mm), footer: context [
  #set text(8pt, fill: luma(110)); #given.title #h(1fr) #counter(page).display("1 / 1", both: true)])
#set text(font: ("Noto Sans S Chinese", "Libertinus Serif"), size: 9pt, lang: given.lang)
#text(16pt, weight: "bold")[#given.title]
#v(4mm)
#for sheet in given.sheets {
  text(11pt, weight: "bold")[#sheet.title]
  v(1mm)
  if sheet.picture != "" { image(bytes(sheet.picture), format: "svg", width: 100%) }
  if sheet.head.len() > 0 {
    table(columns: sheet.head.len(), stroke: (x: none, y: 0.4pt + luma(200)), inset: 5pt,
      align: (x, _) => if x == 0 { left } else { right },
      table.header(..sheet.head.map(cell => text(fill: luma(90))[#cell])),
      ..sheet.rows.flatten())
  }
  v(4mm)
}
"""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table, or one picture, with its title."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    picture: str = ""


def tables_pdf(title: str, sheets: Sequence[Sheet], lang: str) -> bytes:
    """A PDF of tables; texts are data, never markup."""
    given = {"title": title, "lang": lang, "sheets": [asdict(sheet) for sheet in sheets]}
    made: object = typst.compile(  # type: ignore[misc]  # its stub has an unbound variable
        SOURCE.encode(),
        font_paths=[FONTS],
        ignore_system_fonts=True,
        sys_inputs={"given": json.dumps(given, ensure_ascii=False)},
    )
    assert isinstance(made, bytes)
    return made
