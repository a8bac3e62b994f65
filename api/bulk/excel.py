"""Reads one workbook in a process of its own, whose memory and time are bounded; a hostile file ends it alone.

Run as a script: the .xlsx on stdin, JSON lines on stdout. The first line tells of the sheet, each further
one is a row ``[number, [cell, ...]]``; a cell is text, a number, true or false, null, ``{"at": instant}`` of
a date without a zone, or ``{"formula": true}``. What cannot be read gives one line ``{"error": reason}``.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import resource
import sys
import zipfile
from typing import Any
from xml.parsers import expat

import python_calamine

MOST_UNPACKED = 128 * 1024 * 1024
"""Bytes of all parts together, unpacked: 20,000 rows take less than a third."""

MOST_PARTS = 2_000
MOST_COLUMNS = 100
MOST_ROWS = 20_200
"""Last row that may hold something: 20,000 and room for a title above and notes below."""

MEMORY = 1536 * 1024 * 1024
SECONDS = 60


class SheetError(Exception):
    """Why a workbook is not read."""


def read(data: bytes) -> tuple[dict[str, Any], list[list[Any]]]:
    """The first visible sheet of a workbook: what is told of it, and its rows.

    Raises:
        SheetError: no workbook, too large in some way, or encrypted.
    """
    with _open(data) as parts:
        _check_size(parts)
        name, path = _first_sheet(parts)
        formulas = _scan(parts.read(path))
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheet = book.get_sheet_by_name(name)
        rows = sheet.to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, OSError) as error:
        raise SheetError(f"the workbook cannot be read: {error}") from error
    merged = [[list(a), list(b)] for a, b in sheet.merged_cell_ranges or ()]
    told = [
        [
            number,
            [
                {"formula": True} if (number, column) in formulas else _cell(value)
                for column, value in enumerate(cells)
            ],
        ]
        for number, cells in enumerate(rows, 1)
        if any(value not in ("", None) for value in cells)
        or any((number, column) in formulas for column in range(len(cells)))
    ]
    return {"sheet": name, "merged": merged[:1000]}, told


def _open(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
            raise SheetError(
                "this is an old .xls or an encrypted workbook; save it as .xlsx without a password"
            ) from error
        raise SheetError("this is no .xlsx workbook") from error


def _check_size(parts: zipfile.ZipFile) -> None:
    entries = parts.infolist()
    if len(entries) > MOST_PARTS:
        raise SheetError(f"the workbook has more than {MOST_PARTS} parts")
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
        raise SheetError(
            f"the workbook unpacks to more than {MOST_UNPACKED >> 20} MiB; delete what is empty or formatted"
        )


def _parser() -> Any:
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise SheetError("the workbook declares XML entities")

    parser.EntityDeclHandler = refuse
    return parser


def _parse(parser: Any, content: bytes) -> None:
    try:
        parser.Parse(content, True)  # noqa: FBT003  expat takes it by position alone
    except expat.ExpatError as error:
        raise SheetError(f"a part of the workbook is no XML: {error}") from error


def _first_sheet(parts: zipfile.ZipFile) -> tuple[str, str]:
    """Name and part of the first visible sheet."""
    sheets: list[tuple[str, str]] = []
    targets: dict[str, str] = {}

    def on_sheet(tag: str, given: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "sheet" and given.get("state", "visible") == "visible":
            relation = next((v for k, v in given.items() if k.endswith(":id")), "")
            sheets.append((given.get("name", ""), relation))

    def on_relation(tag: str, given: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "Relationship":
            targets[given.get("Id", "")] = given.get("Target", "")

    for part, handler in (
        ("xl/workbook.xml", on_sheet),
        ("xl/_rels/workbook.xml.rels", on_relation),
    ):
        parser = _parser()
        parser.StartElementHandler = handler
        try:
            _parse(parser, parts.read(part))
        except KeyError as error:
            raise SheetError("this is no .xlsx workbook") from error
    if not sheets:
        raise SheetError("the workbook has no visible sheet")
    name, relation = sheets[0]
    target = targets.get(relation, "")
    path = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    if path not in parts.namelist():
        raise SheetError("the workbook lacks its first sheet")
    return name, path


def _scan(xml: bytes) -> set[tuple[int, int]]:
    """The cells that hold formulas (row from 1, column from 0); refuses cells that lie far out."""
    formulas: set[tuple[int, int]] = set()
    here = (0, 0)
    row = 0

    def on_start(tag: str, given: dict[str, str]) -> None:
        nonlocal here, row
        if tag == "c":
            here = _place(given["r"]) if "r" in given else (row, here[1] + 1)
        elif tag == "row":
            row = int(given["r"]) if given.get("r", "").isdigit() else row + 1
            here = (row, -1)
        elif tag == "f":
            formulas.add(here)
        elif tag in {"v", "is"} and (here[0] > MOST_ROWS or here[1] >= MOST_COLUMNS):
            raise SheetError(
                f"something stands in row {here[0]}, column {here[1] + 1}; "
                f"a table has at most 20,000 rows and {MOST_COLUMNS} columns"
            )

    parser = _parser()
    parser.StartElementHandler = on_start
    _parse(parser, xml)
    return formulas


def _place(reference: str) -> tuple[int, int]:
    letters = reference.rstrip("0123456789")
    digits = reference[len(letters) :]
    if not digits or not letters.isascii() or not letters.isalpha() or len(reference) > 12:
        raise SheetError(f"{reference[:20]!r} is no place in a sheet")
    column = 0
    for letter in letters.upper():
        column = column * 26 + ord(letter) - 64
    return int(digits), column - 1


def _cell(value: Any) -> Any:
    if value == "":
        return None
    if isinstance(value, dt.datetime):
        return {"at": value.isoformat()}
    if isinstance(value, dt.date):
        return {"at": dt.datetime.combine(value, dt.time()).isoformat()}
    if isinstance(value, dt.time | dt.timedelta):
        return {"time": str(value)}
    return value


def main() -> None:
    """Reads stdin, writes stdout; the limits come first."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    out = sys.stdout
    try:
        about, rows = read(sys.stdin.buffer.read())
    except SheetError as error:
        json.dump({"error": str(error)}, out)
        return
    except (MemoryError, OverflowError, ValueError, RecursionError, zipfile.BadZipFile) as error:
        json.dump({"error": f"the workbook cannot be read: {type(error).__name__}"}, out)
        return
    out.write(json.dumps(about) + "\n")
    for row in rows:
        out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
