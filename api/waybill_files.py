"""Waybills from a CSV file: every bad cell named by line and column, nothing half-imported.

A row may name its parent by the ``ref`` of a row above it in the same file, so that one file carries a
whole chain. The regulator's column names are understood beside ours.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from api.errors import ApiError
from api.schemas.waybills import RowRefused, WaybillDraft

MOST_ROWS = 20_000
MOST_CELL = 4_000

REQUIRED = (
    "ref", "issuer", "performer", "consignee", "shipping_note", "goods", "quantity_milli",
    "freight_fen", "load_from", "deliver_by", "term_days",
)  # fmt: skip
OPTIONAL = (
    "parent", "parent_ref", "serial", "plate", "terminal", "route", "unit", "sign_by", "declared",
)  # fmt: skip
INTEGERS = ("quantity_milli", "freight_fen", "term_days")
ALIASES = {
    "托运单号": "shipping_note",
    "分段分单号": "serial",
    "托运人": "issuer",
    "实际承运人": "performer",
    "收货人": "consignee",
    "车牌号": "plate",
    "货物名称": "goods",
    "运费(分)": "freight_fen",
    "终端手机号": "terminal",
    "线路": "route",
}
"""Names of the network-freight field set for our columns."""

_WHOLE = re.compile(r"-?[0-9]{1,20}", re.ASCII)


class FileRefusedError(ApiError):
    """The file cannot be read as a table of waybills."""

    code = "file_refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its line in the file, its name, its parent's name in the file, and its draft or faults."""

    line: int
    ref: str
    parent_ref: str
    draft: WaybillDraft | None
    faults: tuple[RowRefused, ...] = ()

    def with_parent(self, waybill: str) -> WaybillDraft:
        """The draft under its parent's id."""
        assert self.draft is not None
        return self.draft.model_copy(update={"parent": waybill})


def read_rows(data: bytes, charset: str = "utf-8") -> Iterator[Row]:
    """The rows of a file in its order.

    Args:
        data: the file.
        charset: utf-8 (a byte order mark is passed over) or gb18030, as spreadsheets in China write.

    Raises:
        FileRefusedError: not text in that charset, no header, unknown or missing columns, too many rows.
    """
    if charset.lower() not in {"utf-8", "utf8", "gb18030", "gbk", "gb2312"}:
        raise FileRefusedError("charset is utf-8 or gb18030", field="Content-Type", given=charset)
    try:
        text = data.decode("utf-8-sig" if charset.lower().startswith("utf") else "gb18030")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileRefusedError(f"line {line} is not {charset} text", row=line) from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if not header or not any(header):
            raise FileRefusedError("the file is empty; its first line names the columns")
        columns = _columns(header)
        for count, cells in enumerate(reader, 1):
            if count > MOST_ROWS:
                raise FileRefusedError(f"a file has at most {MOST_ROWS} rows", rows=count)
            if any(cell.strip() for cell in cells):
                yield _row(reader.line_num, columns, cells)
    except csv.Error as error:
        raise FileRefusedError(f"line {reader.line_num}: {error}", row=reader.line_num) from error


def _columns(header: list[str]) -> list[str]:
    columns = [ALIASES.get(name.strip(), name.strip()) for name in header]
    known = {*REQUIRED, *OPTIONAL}
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise FileRefusedError(
            f"unknown column {unknown[0]!r}", field=unknown[0], unknown=unknown, known=sorted(known)
        )
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice:
        raise FileRefusedError(f"column {twice!r} stands twice", field=twice)
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise FileRefusedError(
            f"column {missing[0]!r} is missing", field=missing[0], missing=missing
        )
    return columns


def _row(line: int, columns: list[str], cells: list[str]) -> Row:
    if len(cells) != len(columns):
        fault = _fault(line, "", "cells", f"{len(cells)} cells under {len(columns)} columns")
        return Row(line, "", "", None, (fault,))
    values = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    ref, parent_ref = values.pop("ref", ""), values.pop("parent_ref", "")
    faults = []
    given: dict[str, Any] = dict(values)
    if not ref:
        faults.append(_fault(line, "ref", "missing", "every row needs a name of its own"))
    if parent_ref and "parent" in values:
        faults.append(_fault(line, "parent_ref", "invalid_value", "parent or parent_ref, not both"))
    for name in columns:
        cell = values.get(name, "")
        if len(cell) > MOST_CELL:
            faults.append(
                _fault(line, name, "too_long", f"a cell has at most {MOST_CELL} characters")
            )
            given.pop(name)
        elif name in INTEGERS and cell:
            if _WHOLE.fullmatch(cell):
                given[name] = int(cell)
            else:
                unit = "fen, 1 yuan = 100 fen" if name == "freight_fen" else "no point, no unit"
                faults.append(
                    _fault(line, name, "invalid_value", f"{cell!r} is not a whole number ({unit})")
                )
                given.pop(name)
        elif name == "declared" and cell:
            if cell.lower() not in {"true", "false"}:
                faults.append(_fault(line, name, "invalid_value", "declared is true or false"))
            given[name] = cell.lower() == "true"
    seen = {fault.column for fault in faults}
    try:
        draft = WaybillDraft.model_validate(given)
    except ValidationError as error:
        for item in error.errors():
            column = str(item["loc"][0]) if item["loc"] else ""
            if column not in seen:
                message = item["msg"].removeprefix("Value error, ")
                faults.append(_fault(line, column, item["type"], message))
        draft = None
    return Row(line, ref, parent_ref, None if faults else draft, tuple(faults))


def _fault(line: int, column: str, code: str, message: str) -> RowRefused:
    return RowRefused(row=line, column=column, code=code, message=message)
