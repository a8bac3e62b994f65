"""The tables of a lender's portfolio as files: ageing, classes, debtors, lanes, borrowers, vintages."""

from __future__ import annotations

from typing import Any, Literal

from api.bulk.workbook import write_csv, write_workbook
from chain.money import yuan_text
from finance.portfolio import Portfolio

PortfolioTable = Literal["ageing", "classes", "debtors", "lanes", "borrowers", "vintages"]

_TITLES: dict[str, tuple[str, str]] = {
    "ageing": ("账龄", "逾期天数"),
    "classes": ("五级分类", "分类"),
    "debtors": ("债务人集中度", "债务人"),
    "lanes": ("线路集中度", "线路"),
    "borrowers": ("借款人集中度", "借款人"),
}
_VINTAGES = ("放款月份", "笔数", "放款金额(元)", "未还本金(元)", "逾期30天以上占比", "核销占比")


def write_portfolio(found: Portfolio, table: PortfolioTable, form: str) -> bytes:
    """One table as a file; amounts in yuan with two decimals, shares in percent.

    Args:
        found: the portfolio of a day.
        table: which of its tables.
        form: ``xlsx`` or ``csv``.
    """
    rows: list[list[Any]]
    header: tuple[str, ...]
    if table == "vintages":
        title, header = "放款批次", _VINTAGES
        rows = [
            [
                one.month,
                one.loans,
                _yuan(one.released_fen),
                _yuan(one.outstanding_fen),
                _percent(one.late_bps),
                _percent(one.lost_bps),
            ]
            for one in found.vintages
        ]
    else:
        title, first = _TITLES[table]
        header = (first, "笔数", "未还本金(元)", "占比")
        rows = [
            [one.name, one.loans, _yuan(one.outstanding_fen), _percent(one.bps)]
            for one in getattr(found, table)
        ]
    return write_workbook(header, rows, title=title) if form == "xlsx" else write_csv(header, rows)


def _yuan(fen: int) -> str:
    return yuan_text(fen).replace(",", "")


def _percent(bps: int) -> str:
    return f"{bps // 100}.{bps % 100:02d}%"
