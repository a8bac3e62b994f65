"""Columns of a file of waybills: ours, those of the network-freight field set, and what their cells mean.

The regulator's platform (网络货运信息交互系统) names columns in its own way and writes freight in yuan, weight
in kilograms and times as 20260126155000 in Beijing; under those names cells are read in that way.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from api.bulk.table import MOST_CELL, Table, TableRefusedError
from api.schemas.waybills import WaybillDraft

BEIJING = dt.timezone(dt.timedelta(hours=8))
IGNORED = frozenset({"错误", "errors", "备注", "remark"})
"""Columns that are passed over: what an error workbook adds, and notes."""

Read = Callable[[Any], Any]


class CellError(Exception):
    """What is wrong with a cell."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row.

    Attributes:
        row: its row in the file, from 1.
        column: the column as the file names it; "" for the row as a whole.
        place: number of the column from 0; None for the row as a whole.
    """

    row: int
    column: str
    place: int | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read.

    Attributes:
        ref: its name in the file; its row number where it has none.
        names: names of the parties that are given by name, by field.
    """

    row: int
    ref: str
    parent_ref: str
    given: Mapping[str, Any]
    names: Mapping[str, str]
    faults: Sequence[Fault]


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        raise CellError("true or false stands where text is asked")
    if isinstance(cell, float | int):
        if float(cell) != int(cell) or abs(cell) >= 10**15:
            raise CellError(
                "a number of more than 15 digits or with a fraction: format the cell as text"
            )
        return str(int(cell))
    if isinstance(cell, dict):
        raise CellError("a date stands where text is asked")
    if len(cell) > MOST_CELL:
        raise CellError(f"a cell has at most {MOST_CELL} characters")
    return str(cell)


def _decimal(cell: Any) -> Decimal:
    if isinstance(cell, bool | dict):
        raise CellError("a number is asked")
    try:
        # a double's shortest text is what the spreadsheet shows
        number = Decimal(repr(cell) if isinstance(cell, float) else str(cell).replace(",", ""))
    except InvalidOperation:
        raise CellError(f"{str(cell)[:40]!r} is not a number") from None
    if not number.is_finite() or abs(number) >= 10**15:
        raise CellError(f"{str(cell)[:40]!r} is not a number that can stand here")
    return number


def _whole(unit: str, times: int = 1) -> Read:
    def read(cell: Any) -> int:
        number = _decimal(cell) * times
        if number != number.to_integral_value():
            raise CellError(f"{str(cell)[:40]!r} is not a whole number ({unit})")
        return int(number)

    return read


_COMPACT = re.compile(r"\d{14}", re.ASCII)
_PLAIN = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2})?)?", re.ASCII)


def _instant(cell: Any) -> str:
    """RFC 3339 as it is; times without a zone are Beijing's."""
    if isinstance(cell, dict) and "at" in cell:
        return _beijing(dt.datetime.fromisoformat(cell["at"]))
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        if float(cell) == int(cell) and _COMPACT.fullmatch(str(int(cell))):
            cell = str(int(cell))
        else:
            raise CellError("a number, not a date: format the cell as a date (or write it as text)")
    if not isinstance(cell, str):
        raise CellError("a date with its time is asked")
    try:
        if _COMPACT.fullmatch(cell):
            return _beijing(dt.datetime.strptime(cell, "%Y%m%d%H%M%S"))  # noqa: DTZ007  Beijing, below
        if _PLAIN.fullmatch(cell):
            text = cell.replace("/", "-").replace("T", " ")
            form = "%Y-%m-%d" + {0: "", 1: " %H:%M", 2: " %H:%M:%S"}[text.count(":")]
            return _beijing(dt.datetime.strptime(text, form))  # noqa: DTZ007  Beijing, below
    except ValueError as error:
        raise CellError(f"{cell[:40]!r} is no date: {error}") from None
    return cell  # RFC 3339 with a zone, or the schema says what is wrong


def _beijing(at: dt.datetime) -> str:
    return at.replace(tzinfo=BEIJING).isoformat(timespec="seconds")


def _truth(cell: Any) -> bool:
    if isinstance(cell, bool):
        return cell
    known = {"true": True, "是": True, "false": False, "否": False}
    if str(cell).lower() not in known:
        raise CellError("true or false (是, 否) is asked")
    return known[str(cell).lower()]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is understood.

    Attributes:
        field: of a draft, or ``ref``, ``parent_ref``.
        zh: its name in a template.
        names: other names it is known by, the regulator's among them.
    """

    field: str
    zh: str
    read: Read
    names: tuple[str, ...] = ()
    is_required: bool = False
    note: str = ""


COLUMNS = (
    Column("ref", "行名", _text, ("原始单号", "上游企业委托运输单号", "originalDocumentNumber"),
           note="a name of the row, to call it a parent; its number if left out"),
    Column("parent_ref", "上级行名", _text, (), note="the ref of a row above: this row is its child"),
    Column("parent", "上级运单", _text, (), note="id of a waybill that is here already"),
    Column("shipping_note", "托运单号", _text, ("shippingNoteNumber",), is_required=True),
    Column("serial", "分段分单号", _text, ("serialNumber",), note="0101; the driver's waybill alone"),
    Column("issuer", "托运人", _text, ("托运人名称", "consignor"), is_required=True, note="party number or name"),
    Column("performer", "实际承运人", _text, ("实际承运人名称", "承运人", "actualCarrierName"), is_required=True, note="party number or name"),
    Column("consignee", "收货人", _text, ("收货方名称", "收货方", "consignee"), is_required=True, note="party number or name"),
    Column("goods", "货物名称", _text, ("descriptionOfGoods",), is_required=True),
    Column("quantity_milli", "数量(千分之一)", _whole("thousandths of the unit"), (), is_required=True, note="12000 is 12 t"),
    Column("unit", "单位", _text, ("计量单位",), note="t unless given"),
    Column("freight_fen", "运费(分)", _whole("fen, 1 yuan = 100 fen"), (), is_required=True, note="864000 is ¥8,640.00"),
    Column("load_from", "装货时间", _instant, ("装货日期", "despatchActualDateTime"), is_required=True, note="Beijing time, or RFC 3339"),
    Column("deliver_by", "收货时间", _instant, ("收货日期", "要求到货时间", "goodsReceiptDateTime"), is_required=True),
    Column("term_days", "账期(天)", _whole("days"), (), is_required=True),
    Column("plate", "车辆牌照号", _text, ("车牌号", "vehicleNumber")),
    Column("terminal", "终端手机号", _text, ("定位终端",)),
    Column("route", "线路", _text, (), note="name of a planned route of yours"),
    Column("sign_by", "签署期限", _instant, ()),
    Column("declared", "托运人未注册", _truth, (), note="root only: the issuer does not sign"),
)  # fmt: skip
"""What a template has, in its order."""

REGULATOR = (
    Column("freight_fen", "运费金额", _whole("yuan with at most two decimals", 100),
           ("运费(元)", "总金额", "totalMonetaryAmount")),
    Column("quantity_milli", "货物项毛重", _whole("kilograms"), ("毛重(千克)", "goodsItemGrossWeight")),
)  # fmt: skip
"""The same fields as the regulator counts them: yuan, kilograms."""

_BY_NAME = {
    name: column for column in (*COLUMNS, *REGULATOR) for name in (column.zh, *column.names)
} | {column.field: column for column in COLUMNS}
PARTIES = ("issuer", "performer", "consignee")


def find_column(name: str) -> Column | None:
    """The column that a name stands for; brackets of either width are the same."""
    return _BY_NAME.get(name.strip().replace("（", "(").replace("）", ")"))


def read_header(
    table: Table, mapping: Mapping[str, str], defaults: Mapping[str, Any]
) -> list[Column | None]:
    """What each column of a file means; None for one that is passed over.

    Args:
        table: the file.
        mapping: our field (or any name we know) by the file's own column name; "" passes a column over.
        defaults: what stands in columns that the file lacks.

    Raises:
        TableRefusedError: a column is unknown, stands twice, or is missing.
    """
    columns: list[Column | None] = []
    for name in table.header:
        wanted = mapping.get(name, name)
        column = find_column(wanted)
        if column is None and wanted and name.lower() not in IGNORED:
            raise TableRefusedError(
                f"unknown column {name[:60]!r}; map it to one of ours, or to nothing",
                field="mapping",
                given=name[:60],
                known=[one.field for one in COLUMNS],
            )
        columns.append(column)
    fields = [column.field for column in columns if column is not None]
    twice = next((field for field in fields if fields.count(field) > 1), None)
    if twice:
        raise TableRefusedError(f"column {twice} stands twice", field="mapping", given=twice)
    missing = [
        one.field
        for one in COLUMNS
        if one.is_required and one.field not in fields and one.field not in defaults
    ]
    if missing:
        raise TableRefusedError(f"column {missing[0]} is missing", field="mapping", missing=missing)
    return columns


def read_defaults(defaults: Mapping[str, str]) -> dict[str, Any]:
    """What stands in columns that a file lacks, each read as a cell of that column.

    Raises:
        TableRefusedError: an unknown column, or a value that its cells cannot have.
    """
    read = {}
    for name, text in defaults.items():
        column = find_column(name)
        if column is None or column.field in {"ref", "parent_ref"}:
            raise TableRefusedError(
                f"there is no column {name[:60]!r}", field=f"defaults.{name[:60]}"
            )
        try:
            read[column.field] = column.read(text)
        except CellError as error:
            raise TableRefusedError(str(error), field=f"defaults.{name[:60]}") from error
    return read


def read_row(
    row: int,
    cells: Sequence[Any],
    columns: Sequence[Column | None],
    table: Table,
    defaults: Mapping[str, Any],
) -> Row:
    """A row of a file as its cells say; what is wrong is with it, cell by cell."""
    given: dict[str, Any] = dict(defaults)
    faults: list[Fault] = []
    for place, cell in enumerate(cells):
        column = columns[place] if place < len(columns) else None
        if cell is None:
            continue
        name = table.header[place] if place < len(table.header) else ""
        if place >= len(columns):
            faults.append(Fault(row, name, place, "cells", "this cell stands under no column"))
            continue
        if column is None:
            continue
        try:
            given[column.field] = _read_cell(cell, column, is_merged=(row, place) in table.merged)
        except CellError as error:
            given.pop(column.field, None)
            faults.append(Fault(row, name, place, "invalid_value", str(error)))
    ref, parent_ref = str(given.pop("ref", row)), str(given.pop("parent_ref", ""))
    if parent_ref and "parent" in given:
        faults.append(
            Fault(row, "parent_ref", None, "invalid_value", "parent or parent_ref, not both")
        )
    names = {
        field: given[field] for field in PARTIES if field in given and not given[field].isdigit()
    }
    return Row(row, ref, parent_ref, given, names, faults)


def _read_cell(cell: Any, column: Column, *, is_merged: bool) -> Any:
    if is_merged:
        raise CellError("this cell is merged with others; split them")
    if isinstance(cell, dict) and "formula" in cell:
        raise CellError("a formula: write (or paste as) its value")
    if isinstance(cell, dict) and "time" in cell:
        raise CellError("a time of day without its date")
    if isinstance(cell, str) and cell.startswith("="):
        raise CellError("a formula: write (or paste as) its value")
    return column.read(cell)


def draft_of(
    row: Row, columns: Sequence[Column | None], header: Sequence[str]
) -> WaybillDraft | list[Fault]:
    """The draft that a row asks for, or every fault that the schema finds in it."""
    try:
        return WaybillDraft.model_validate(dict(row.given))
    except ValidationError as error:
        places = {column.field: at for at, column in enumerate(columns) if column is not None}
        seen = {fault.place for fault in row.faults}
        faults = []
        for item in error.errors():
            field = str(item["loc"][0]) if item["loc"] else ""
            place = places.get(field)
            if place is not None and place in seen:
                continue  # the cell was told already
            name = header[place] if place is not None else field
            message = item["msg"].removeprefix("Value error, ")
            faults.append(Fault(row.row, name, place, item["type"], message))
        return faults
