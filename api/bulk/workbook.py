"""Workbooks and CSV files that go out: a template, the rows to correct, an export; text stays text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import xlsxwriter

from api.bulk.columns import COLUMNS, Fault
from api.bulk.table import EXCEL, Table

BOM = "\ufeff"
"""Spreadsheets in China take a CSV for GBK unless it begins with this."""

_OPENS_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_workbook(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "运单",
    notes: Sequence[str] = (),
    red: frozenset[tuple[int, int]] = frozenset(),
) -> bytes:
    """A workbook with one sheet; every text is written as text, so nothing in it is ever a formula.

    Args:
        header: names of the columns.
        rows: values; numbers stay numbers.
        title: name of the sheet.
        notes: a remark on each column's name.
        red: (row from 0 below the header, column) of cells to colour.
    """
    out = io.BytesIO()
    options = {
        "in_memory": True,
        "constant_memory": False,
        "strings_to_formulas": False,
        "strings_to_urls": False,
    }
    with xlsxwriter.Workbook(out, options) as book:
        sheet = book.add_worksheet(title)
        head = book.add_format({"bold": True, "bg_color": "#E8EEF4", "border": 1})
        text = book.add_format({"num_format": "@"})
        wrong = book.add_format({"num_format": "@", "bg_color": "#FBD5D5"})
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(header):
            sheet.write_string(0, column, name, head)
            if column < len(notes) and notes[column]:
                sheet.write_comment(0, column, notes[column])
        sheet.set_column(0, max(len(header) - 1, 0), 18, text)
        for at, row in enumerate(rows, 1):
            for column, value in enumerate(row):
                form = wrong if (at - 1, column) in red else text
                if value is None or value == "":
                    if form is wrong:
                        sheet.write_blank(at, column, None, form)
                elif isinstance(value, int | float) and not isinstance(value, bool):
                    sheet.write_number(at, column, value, None if form is text else form)
                else:
                    sheet.write_string(at, column, str(value), form)
    return out.getvalue()


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file that spreadsheets open as it is; a text that would open a formula gets an apostrophe."""
    out = io.StringIO()
    out.write(BOM)
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_harmless(name) for name in header])
    for row in rows:
        writer.writerow(["" if value is None else _harmless(value) for value in row])
    return out.getvalue().encode()


def _harmless(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_OPENS_FORMULA):
        return "'" + value
    return value


def template(*, english: bool = False, as_csv: bool = False) -> bytes:
    """An empty table of waybills with every column that is understood."""
    header = [column.field if english else column.zh for column in COLUMNS]
    if as_csv:
        return write_csv(header, [])
    notes = [
        "; ".join(part for part in ("required" if one.is_required else "", one.note) if part)
        for one in COLUMNS
    ]
    return write_workbook(header, [], notes=notes)


def to_correct(table: Table, faults: Sequence[Fault]) -> bytes:
    """The bad rows of a file as a workbook: their cells as they were, the wrong ones red, the reasons last.

    It is sent again as it is once the cells are right: the column of reasons is passed over.
    """
    reasons: dict[int, list[str]] = {}
    wrong: dict[int, set[int]] = {}
    for fault in faults:
        said = f"{fault.column}: {fault.message}" if fault.column else fault.message
        reasons.setdefault(fault.row, []).append(said)
        if fault.place is not None:
            wrong.setdefault(fault.row, set()).add(fault.place)
    bad = [(row, cells) for row, cells in table.rows if row in reasons]
    width = len(table.header)
    rows = [
        [
            *(_shown(cells[at]) if at < len(cells) else None for at in range(width)),
            "\n".join(reasons[row]),
        ]
        for row, cells in bad
    ]
    red = frozenset(
        (at, column) for at, (row, _) in enumerate(bad) for column in wrong.get(row, ())
    )
    return write_workbook([*table.header, "错误"], rows, title="更正", red=red)


def _shown(cell: Any) -> Any:
    if isinstance(cell, dict):
        if "at" in cell:
            return str(cell["at"]).replace("T", " ")
        return str(cell.get("time", ""))
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return cell


def media_type_of(form: str) -> str:
    """The media type of ``xlsx`` or ``csv``."""
    return EXCEL if form == "xlsx" else "text/csv; charset=utf-8"
