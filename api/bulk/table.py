"""A file as a table: its header and its rows, each cell with its place; CSV here, Excel in a process apart."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.errors import ApiError

MOST_ROWS = 20_000
MOST_COLUMNS = 100
MOST_CELL = 4_000
SECONDS = 90

CSV, EXCEL = "text/csv", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class TableRefusedError(ApiError):
    """The file cannot be read as a table."""

    code = "table_refused"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it stands in a file.

    Attributes:
        header: names of the columns, as written.
        header_row: its row, from 1.
        rows: (row, cells); empty rows are left out. A cell is text, number, bool, None, ``{"at"}`` of a
            date, ``{"formula"}``.
        merged: cells that belong to a merged range, as (row, column from 0).
    """

    header: Sequence[str]
    header_row: int
    rows: Sequence[tuple[int, Sequence[Any]]]
    merged: frozenset[tuple[int, int]] = frozenset()


def read_table(content: bytes, media_type: str, charset: str = "utf-8") -> Table:
    """The table in a file.

    Args:
        content: the file.
        media_type: ``CSV`` or ``EXCEL``; an Excel file is also known by its bytes.
        charset: of CSV: utf-8 or gb18030.

    Raises:
        TableRefusedError: no table, too large, or a workbook that hurts.
    """
    if content[:4] == b"PK\x03\x04" or content[:4] == b"\xd0\xcf\x11\xe0" or media_type == EXCEL:
        return _checked(*_read_excel(content))
    return _checked(*_read_csv(content, charset))


def cell_name(row: int, column: int) -> str:
    """The name of a cell as spreadsheets show it: C17."""
    letters, rest = "", column + 1
    while rest:
        rest, digit = divmod(rest - 1, 26)
        letters = chr(65 + digit) + letters
    return f"{letters}{row}"


Rows = list[tuple[int, list[Any]]]


def _checked(rows: Rows, merged: frozenset[tuple[int, int]]) -> Table:
    if not rows:
        raise TableRefusedError("the file is empty; its first row names the columns", field="file")
    (header_row, header), body = rows[0], rows[1:]
    while header and header[-1] in (None, ""):
        header = header[:-1]
    if len(header) > MOST_COLUMNS:
        raise TableRefusedError(f"a table has at most {MOST_COLUMNS} columns", field="file")
    for column, name in enumerate(header):
        if not isinstance(name, str) or not name.strip():
            raise TableRefusedError(
                f"{cell_name(header_row, column)}: a column needs a name", field="file"
            )
        if (header_row, column) in merged:
            raise TableRefusedError(
                f"{cell_name(header_row, column)}: the header has merged cells; split them",
                field="file",
            )
    if len(body) > MOST_ROWS:
        raise TableRefusedError(
            f"a file has at most {MOST_ROWS} rows", field="file", rows=len(body), most=MOST_ROWS
        )
    if not body:
        raise TableRefusedError("the table has no rows", field="file")
    return Table([str(name).strip() for name in header], header_row, body, merged)


def _read_csv(content: bytes, charset: str) -> tuple[Rows, frozenset[tuple[int, int]]]:
    if charset.lower() not in {"utf-8", "utf8", "gb18030", "gbk", "gb2312"}:
        raise TableRefusedError(
            "charset is utf-8 or gb18030", field="Content-Type", given=charset[:40]
        )
    try:
        text = content.decode("utf-8-sig" if charset.lower().startswith("utf") else "gb18030")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise TableRefusedError(
            f"line {line} is not {charset} text", field="file", row=line
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: Rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, [cell.strip() or None for cell in cells]))
            if len(rows) > MOST_ROWS + 1:
                raise TableRefusedError(
                    f"a file has at most {MOST_ROWS} rows", field="file", most=MOST_ROWS
                )
    except csv.Error as error:
        raise TableRefusedError(
            f"line {reader.line_num}: {error}", field="file", row=reader.line_num
        ) from error
    return rows, frozenset()


def _read_excel(content: bytes) -> tuple[Rows, frozenset[tuple[int, int]]]:
    try:
        done = subprocess.run(  # noqa: S603  this very interpreter and a file of ours; no shell
            [sys.executable, "-I", str(Path(__file__).with_name("excel.py"))],
            input=content,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise TableRefusedError("the workbook takes too long to read", field="file") from error
    lines = done.stdout.split(b"\n")
    if done.returncode != 0 or not lines[0]:
        raise TableRefusedError(
            "the workbook needs more memory or time than a table of 20,000 rows", field="file"
        )
    about = json.loads(lines[0])
    if "error" in about:
        raise TableRefusedError(about["error"], field="file")
    merged = {
        (row + 1, column)
        for (top, left), (bottom, right) in about["merged"]
        for row in range(top, min(bottom, top + 20_200) + 1)
        for column in range(left, min(right, left + MOST_COLUMNS) + 1)
    }
    rows = [(number, cells) for number, cells in map(json.loads, filter(None, lines[1:]))]
    return rows, frozenset(merged)
