"""``yundan audit``: writing and checking lender packs and portfolios of them."""

from __future__ import annotations

import csv
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from api.audit.portfolio import Selection
    from api.verifier.report import Report
    from api.verifier.verify import Paper, Trust

audit = typer.Typer(help="Lender packs: one file that proves a trip, and its check without us.")


@audit.command("export")
def audit_export(
    output: Annotated[Path, typer.Option("-o", "--output", help="the file to write, a zip")],
    trip: Annotated[str | None, typer.Argument(help="trip id, 0x and 64 hex digits")] = None,
    loan: Annotated[str | None, typer.Option(help="the trip of this advance")] = None,
    borrower: Annotated[str | None, typer.Option(help="trips this party borrowed on")] = None,
    lender: Annotated[str | None, typer.Option(help="trips this party financed")] = None,
    since: Annotated[str | None, typer.Option(help="loaded on or after, Beijing day")] = None,
    until: Annotated[str | None, typer.Option(help="loaded on or before, Beijing day")] = None,
    reader: Annotated[
        str, typer.Option("--for", help="lender, court or auditor: what he need not see is closed")
    ] = "lender",
) -> None:
    """Writes the pack of a trip, or a portfolio of the packs of a loan, a borrower, a lender or some days.

    A pack holds signed forms, proofs, raw positions, verdict, loan and books in one file.
    """
    from api.audit.export import export_trip
    from api.audit.portfolio import export_portfolio
    from api.audit.purpose import Purpose
    from api.bootstrap import Container
    from api.startup import load_settings
    from chain.ids import TripId

    try:
        purpose = Purpose(reader)
    except ValueError as error:
        raise typer.BadParameter("lender, court or auditor", param_hint="--for") from error
    selection = _selection(loan, borrower, lender, since, until)
    if bool(trip) == bool(selection.to_json()):
        raise typer.BadParameter(
            "name one trip, or select by --loan, --borrower, --lender, --since, --until",
            param_hint="TRIP",
        )
    container = Container(load_settings())
    try:
        with _progress("written") as tell:
            if trip:
                done = export_trip(
                    container, TripId(trip.lower()), output, purpose=purpose, tell=tell
                )
                told = f"{done.size} bytes, {done.transactions} transactions"
                anchor, anchor_hash = done.anchor, done.anchor_hash
            else:
                whole = export_portfolio(container, selection, output, purpose=purpose, tell=tell)
                told = f"{whole.size} bytes, {whole.packs} packs"
                anchor, anchor_hash = whole.anchor, whole.anchor_hash
    except OSError as error:
        raise typer.BadParameter(f"{output}: {error.strerror}", param_hint="-o") from error
    finally:
        container.close()
    print(
        f"{output}: {told}, up to block {anchor}\n"
        f"verify it: yundan audit verify {output} --trust {anchor_hash}"
    )


def _selection(
    loan: str | None,
    borrower: str | None,
    lender: str | None,
    since: str | None,
    until: str | None,
) -> Selection:
    from api.audit.portfolio import Selection
    from chain.ids import AdvanceId, PartyId

    def party(text: str | None, option: str) -> PartyId | None:
        if text is None:
            return None
        if not text.isdecimal():
            raise typer.BadParameter("a party's id is a whole number", param_hint=option)
        return PartyId(int(text))

    def day(text: str | None, option: str) -> dt.date | None:
        try:
            return None if text is None else dt.date.fromisoformat(text)
        except ValueError as error:
            raise typer.BadParameter("a day is written 2026-11-28", param_hint=option) from error

    return Selection(
        loan=AdvanceId(loan.lower()) if loan else None,
        borrower=party(borrower, "--borrower"),
        lender=party(lender, "--lender"),
        since=day(since, "--since"),
        until=day(until, "--until"),
    )


@audit.command("verify")
def audit_verify(
    packs: Annotated[list[Path], typer.Argument(metavar="PACK...", help="packs, or a portfolio")],
    rpc: Annotated[str | None, typer.Option(help="a node of your choosing")] = None,
    trust: Annotated[
        list[str] | None, typer.Option(help="hash of a block that you trust; repeat for more")
    ] = None,
    deployment: Annotated[
        Path | None, typer.Option(help="contract addresses as you know them, <chain id>.json")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="the whole report as JSON; of many, one a line")
    ] = False,
    exceptions: Annotated[
        Path | None, typer.Option(help="of many: write what is not green to this CSV file")
    ] = None,
) -> None:
    """Checks packs from one trusted hash down to the last fen; with --trust it needs no network.

    Of many packs, only those that are not green are told. Exit codes: 0 verified, 1 something is red,
    2 the input is at fault, 3 nothing is red but no root of trust was given.
    """
    from api.verifier.portfolio import is_portfolio, verify_packs
    from api.verifier.verify import Trust, verify_file

    known = Trust(tuple(trust or ()), rpc, deployment, paper=_paper())
    try:
        if len(packs) > 1:
            _tell_many(verify_packs(packs, known), len(packs), exceptions, as_json=as_json)
        if is_portfolio(packs[0]):
            _verify_portfolio(packs[0], known, exceptions, as_json=as_json)
        with packs[0].open("rb") as raw:
            report = verify_file(raw, packs[0].name, known)
    except OSError as error:
        raise typer.BadParameter(
            f"{error.filename}: {error.strerror}", param_hint="PACK"
        ) from error
    _print_report(report, as_json=as_json)
    raise typer.Exit(report.exit_code)


def _paper() -> Paper | None:
    """What makes the PDF again, where it is installed; an auditor needs it not."""
    from api.verifier.verify import Paper

    try:
        from api.audit.paper import FontsMissingError, maker, render_paper
    except ImportError:
        return None
    try:
        return Paper(maker(), render_paper)
    except FontsMissingError:
        return None


def _verify_portfolio(path: Path, trust: Trust, exceptions: Path | None, *, as_json: bool) -> None:
    from api.verifier.portfolio import open_portfolio, verify_portfolio
    from api.verifier.report import Report

    head = Report(path.name)
    portfolio = open_portfolio(path, head, trust)
    if portfolio is None or head.reds:
        _print_report(head, as_json=as_json)
        raise typer.Exit(1)
    if not as_json:
        print("\n".join(head.to_text().splitlines()[:-1]))
    reports = verify_portfolio(portfolio, trust, anchored=head.anchored)
    _tell_many(reports, len(portfolio.listed), exceptions, as_json=as_json)


def _tell_many(
    reports: Iterable[Report], count: int, exceptions: Path | None, *, as_json: bool
) -> None:
    """Tells exceptions as they come and the sums at the end; ends the command."""
    from api.verifier.portfolio import Summary
    from chain.money import yuan_text

    summary = Summary()
    with _progress("checked", count) as tell:
        for done, report in enumerate(reports, 1):
            summary.add(report)
            if as_json:
                line = json.dumps(report.to_json(), ensure_ascii=False, separators=(",", ":"))
                print(line)
            elif report.exit_code:
                last = summary.exceptions[-1]
                print(f"{report.pack}: [{last['code']}] {last['reason']}")
            tell("packs", done)
    if exceptions is not None:
        with exceptions.open("w", encoding="utf-8-sig", newline="") as file:
            table = csv.DictWriter(file, ["pack", "code", "about", "reason"])
            table.writeheader()
            table.writerows(summary.exceptions)
    if not as_json:
        if summary.loans:
            print(
                f"{summary.delivered} delivered; {summary.loans} loans drew "
                f"¥{yuan_text(summary.drawn_fen)}, ¥{yuan_text(summary.outstanding_fen)} outstanding"
            )
        print(f"{summary.counts[0]} of {count} packs are green")
    raise typer.Exit(summary.exit_code)


def _print_report(report: Report, *, as_json: bool) -> None:
    print(
        json.dumps(report.to_json(), ensure_ascii=False, indent=2) if as_json else report.to_text()
    )


@contextmanager
def _progress(verb: str, total: int | None = None) -> Iterator[Callable[[str, int], None]]:
    """A bar on a terminal's error output, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    if not sys.stderr.isatty():
        yield lambda _word, _count: None
        return
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn()]
    columns += [TextColumn("{task.completed:,.0f}"), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def tell(word: str, count: int) -> None:
            if word not in tasks:
                tasks[word] = bar.add_task(f"{word} {verb}", total=total)
            bar.update(tasks[word], completed=count)

        yield tell
