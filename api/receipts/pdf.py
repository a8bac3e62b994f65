"""A signed receipt as a PDF/A page: what was said, the drawn signature, and a code that leads to the check."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import segno
import typst

from api.receipts.links import Paper
from api.settings import ROOT

FONTS = ROOT / "node_modules" / "@embedpdf" / "fonts-sc" / "fonts"

WORDS = {
    "zh": {
        "title": "签收单", "refused": "拒收单", "note_no": "托运单号", "goods": "货物", "loaded": "装运数量",
        "accepted": "实收数量", "condition": "状况", "remark": "说明", "signer": "签收人", "at": "签署时间 (北京时间)",
        "signature": "手写签名", "hash": "签收单编号 (哈希)", "key": "签名钥匙", "photos": "照片 (SHA-256)",
        "check": "扫码核验: 浏览器会重新计算哈希并与链上记录比对", "conditions": ["完好", "破损", "短少", "短少且破损"],
    },
    "en": {
        "title": "Receipt", "refused": "Refusal", "note_no": "Shipping note", "goods": "Goods", "loaded": "Loaded",
        "accepted": "Accepted", "condition": "Condition", "remark": "Note", "signer": "Signed by",
        "at": "Signed at (Beijing time)", "signature": "Signature", "hash": "Receipt number (hash)",
        "key": "Signing key", "photos": "Photos (SHA-256)",
        "check": "Scan to verify: your browser computes the hash again and compares it with the chain",
        "conditions": ["sound", "damaged", "short", "short and damaged"],
    },
}  # fmt: skip

_PAGE = """
#let told = json("receipt.json")
#set document(title: told.title)
#set page(paper: "a5", margin: 14mm)
#set text(font: ("Noto Sans S Chinese", "DejaVu Sans"), size: 10pt, lang: told.lang)
#grid(columns: (1fr, auto), align: (left + horizon, right),
  [#text(size: 20pt, weight: "bold")[#told.title] \\ #text(fill: luma(90))[运单 Yundan]],
  image("code.svg", width: 26mm))
#v(4mm)
#table(columns: (34mm, 1fr), stroke: (x, y) => (bottom: 0.4pt + luma(210)), inset: (x: 0pt, y: 5pt),
  ..told.rows.map(((name, value)) => (text(fill: luma(90))[#name], text(weight: "medium")[#value])).flatten())
#if told.drawn [
  #v(3mm) #text(fill: luma(90))[#told.signature] \\ #image("drawing.png", height: 20mm)
]
#v(1fr)
#set text(size: 7.5pt)
#for (name, value) in told.proof [#text(fill: luma(90))[#name] \\ #raw(value) \\ ]
#text(fill: luma(90))[#told.check: #told.link]
"""


def receipt_pdf(paper: Paper, *, lang: str, link: str, signed_at: str) -> bytes:
    """The page.

    Args:
        paper: what was signed.
        lang: ``zh`` or ``en``.
        link: where it is verified.
        signed_at: as people read it.
    """
    words, said = WORDS[lang], paper.content

    def amount(milli: int) -> str:
        return f"{milli / 1000:g} {said['unit']}"

    refused = said["outcome"] == "refused"
    rows = [
        (words["note_no"], f"{said['shipping_note']}·{said['serial']}"),
        (words["goods"], said["goods"]),
        (words["loaded"], amount(said["loaded_milli"])),
        (words["accepted"], amount(said["accepted_milli"])),
        (
            words["condition"],
            words["refused"] if refused else words["conditions"][said["condition"]],
        ),
        (words["remark"], said["note"]),
        (words["signer"], said["signer"]),
        (words["at"], signed_at),
    ]
    proof = [(words["hash"], paper.document), (words["key"], paper.signer)]
    if said["photos"]:
        proof.append((str(words["photos"]), "\n".join(said["photos"])))
    told = {
        "lang": lang,
        "title": words["refused" if refused else "title"],
        "rows": [row for row in rows if row[1]],
        "drawn": paper.drawing is not None,
        "signature": words["signature"],
        "proof": proof,
        "check": words["check"],
        "link": link,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "receipt.json").write_text(json.dumps(told, ensure_ascii=False), "utf-8")
        (folder / "page.typ").write_text(_PAGE, "utf-8")
        segno.make(link, error="m").save(str(folder / "code.svg"), scale=4, border=0)
        if paper.drawing is not None:
            (folder / "drawing.png").write_bytes(paper.drawing)
        made = typst.compile(
            str(folder / "page.typ"), root=name, font_paths=[str(FONTS)], pdf_standards="a-2b"
        )
    if not isinstance(made, bytes):
        raise TypeError("typst gives one file of a PDF")
    return made
