"""Carries out imports and exports; called by the clock, one job after the other.

An import reads, checks every row against the database and the other rows without writing, and then writes
all good rows with the job's result in one transaction: a crash leaves the waybills and the result, or
neither, and the job is begun anew when its claim has run out.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import structlog

from api.auth import Caller, Scope
from api.bulk.ahead import Ahead
from api.bulk.columns import (
    Column,
    Fault,
    Row,
    draft_of,
    read_defaults,
    read_header,
    read_row,
)
from api.bulk.export import EXPORT_HEADER, export_row
from api.bulk.jobs import ClaimLostError, Job, JobFile
from api.bulk.table import EXCEL, Table, read_table
from api.bulk.workbook import media_type_of, to_correct, write_csv, write_workbook
from api.naming import Names
from api.object_ids import About
from api.ports import Container, Services
from api.schemas.jobs import Kind, State
from api.schemas.waybills import WaybillDraft
from api.waybill_forms import DraftDesk, Drafts, parties_of
from chain.clock import FixedClock
from chain.errors import YundanError
from chain.ids import PartyId
from chain.waybill import HeldWaybill, Stage

STEP = 500
"""Rows between two notes of progress."""

TRIES = 3
"""How often rows are checked anew because what they stand on has changed meanwhile."""

MOST_EXPORTED = 200_000
_log = structlog.get_logger(__name__)


class MovingGroundError(YundanError):
    """What the rows stand on kept changing while they were checked; send the file again."""

    code = "moving_ground"


class TooManyRowsError(YundanError):
    """An export has at most 200,000 rows; narrow it down."""

    code = "too_many_rows"


def run_jobs(container: Container) -> int:
    """Carries out every job that waits, one after the other; how many."""
    done = 0
    while True:
        with container.read() as services:
            if not services.jobs.has_due():
                return done
        with container.write() as services:
            job = services.jobs.claim()
        if job is None:
            return done
        run_job(container, job)
        done += 1


def run_job(container: Container, job: Job) -> None:
    """Carries out a claimed job; what is wrong with it is its result."""
    work = {Kind.WAYBILL_IMPORT: run_import, Kind.WAYBILL_EXPORT: run_export}[job.kind]
    try:
        try:
            work(container, job)
        except ClaimLostError:
            raise
        except YundanError as error:
            with container.write() as services:
                services.jobs.finish(job, State.FAILED, code=error.code, message=str(error)[:500])
                _tell(services, job, State.FAILED, error.code)
    except ClaimLostError:
        _log.info("job_lost", job=job.id)


def _tell(services: Services, job: Job, state: State, code: str = "", **counts: int) -> None:
    services.events.publish(
        "job.finished",
        About("party", str(job.party)),
        [job.party],
        facts={"job": job.id, "kind": job.kind.value, "state": state.value, "code": code} | counts,
        source=f"job:{job.id}",
    )


# -- import ---------------------------------------------------------------------------------------


@dataclass
class Checked:
    """What became of the rows of a file."""

    taken: list[tuple[int, str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ahead: Ahead | None = None

    @property
    def bad(self) -> int:
        """How many rows are refused."""
        return len({fault.row for fault in self.faults})


def run_import(container: Container, job: Job) -> None:
    """Imports a file of waybills.

    Raises:
        TableRefusedError, MovingGroundError: the file as a whole is at fault, or must be sent again.
        ClaimLostError: another process has the job.
    """
    with container.read() as services:
        given = services.jobs.find_file(job.id, "input")
    assert given is not None, "queued with its file"
    options = job.options
    table = read_table(given.content, given.media_type, str(options.get("charset", "utf-8")))
    defaults = read_defaults(options.get("defaults", {}))
    columns = read_header(table, options.get("mapping", {}), defaults)
    _note(container, job, stage="checking", total=len(table.rows))
    for _ in range(TRIES):
        checked = _check(container, job, table, columns, defaults)
        if _write(container, job, table, checked):
            return
    raise MovingGroundError


def _note(container: Container, job: Job, **changes: Any) -> None:
    with container.write() as services:
        services.jobs.note(job, **changes)


def _check(
    container: Container,
    job: Job,
    table: Table,
    columns: Sequence[Column | None],
    defaults: dict[str, Any],
) -> Checked:
    """Every row against the rules, the database and the rows above it; nothing is written."""
    rows = [read_row(at, cells, columns, table, defaults) for at, cells in table.rows]
    checked = Checked()
    with container.read() as services:
        check = RowCheck(container, services, job)
        rows = check.resolve_names(rows, columns)
        for first in range(0, len(rows), STEP):
            step = rows[first : first + STEP]
            check.take(step, columns, table, checked)
            done = first + len(step)
            _note(container, job, done=done, good=len(checked.taken), bad=checked.bad)
    checked.ahead = check.ahead
    return checked


def _write(container: Container, job: Job, table: Table, checked: Checked) -> bool:
    """Writes the result of an import; False if what the rows stand on has changed meanwhile."""
    assert checked.ahead is not None
    is_dry = bool(job.options.get("dry_run"))
    is_refused = bool(checked.faults) and job.options.get("mode", "all") == "all"
    writes = bool(checked.taken) and not is_dry and not is_refused
    corrections = to_correct(table, checked.faults) if checked.faults else b""
    with container.write() as services:
        if writes:
            if checked.ahead.basis_now(services.records) != checked.ahead.basis():
                return False
            services.records.add_waybills(checked.ahead.added)
            services.jobs.add_waybills(job.id, checked.taken)
        if checked.faults:
            services.jobs.add_faults(job.id, checked.faults)
            services.jobs.add_file(job.id, "corrections", JobFile(EXCEL, corrections))
        counts = {
            "total": len(table.rows),
            "done": len(table.rows),
            "good": len(checked.taken),
            "bad": checked.bad,
            "written": len(checked.taken) if writes else 0,
        }
        code = "rows_refused" if is_refused else ""
        services.jobs.finish(job, State.DONE, code=code, **counts)
        _tell(services, job, State.DONE, code, **counts)
    return True


@dataclass(frozen=True, slots=True)
class _Desk:
    """What drafts need, over the rows of a file."""

    records: Any
    registry: Any
    routes: Any


class RowCheck:
    """Checks rows for the party of a job; holds what the file has shown so far.

    Args:
        container: for the rules.
        services: a transaction that reads.
        job: whose rows.
    """

    def __init__(self, container: Container, services: Services, job: Job) -> None:
        self.ahead = Ahead(services.records)
        self._services = services
        self._names = Names(container.hash_key)
        now = container.clock.now()  # of the whole file: the chain is not asked once a row
        desk = _Desk(
            self.ahead,
            container.registry_over(services, cast("Any", self.ahead), FixedClock(now)),
            services.routes,
        )
        caller = Caller(job.caller, job.party, frozenset({Scope.WAYBILLS}))
        self._drafts = Drafts(cast("DraftDesk", desk), self._names, caller, now)
        self._refs: dict[str, int] = {}
        self._ids: dict[str, str] = {}

    def resolve_names(self, rows: Sequence[Row], columns: Sequence[Column | None]) -> list[Row]:
        """Puts numbers for parties that are given by name; a name of none or of several is a fault."""
        names = sorted({name for row in rows for name in row.names.values()})
        known = self._services.records.list_parties_called(names) if names else {}
        places = {one.field: at for at, one in enumerate(columns) if one is not None}
        return [_resolved(row, known, places) if row.names else row for row in rows]

    def take(
        self,
        rows: Sequence[Row],
        columns: Sequence[Column | None],
        table: Table,
        checked: Checked,
    ) -> None:
        """Checks some rows in their order."""
        read: list[tuple[Row, WaybillDraft | None, list[Fault]]] = []
        for row in rows:
            made = draft_of(row, columns, table.header)
            faults = [*row.faults, *(made if isinstance(made, list) else ())]
            read.append((row, None if faults or isinstance(made, list) else made, faults))
        drafts = [draft for _, draft, _ in read if draft is not None]
        self.ahead.know(
            sorted(
                {
                    PartyId(int(side))
                    for one in drafts
                    for side in (one.issuer, one.performer, one.consignee)
                }
            ),
            sorted(
                {
                    self._names.trip(one.shipping_note, str(one.serial))
                    for one in drafts
                    if one.is_leaf
                }
            ),
        )
        for row, draft, faults in read:
            taken = self._take(row, draft, faults, table)
            if taken is None:
                checked.faults += faults
            else:
                checked.taken.append((row.row, row.ref, taken.id))

    def _take(
        self, row: Row, draft: WaybillDraft | None, faults: list[Fault], table: Table
    ) -> HeldWaybill | None:
        """A row as a waybill; None with its faults added where it is refused."""
        places = {name: at for at, name in enumerate(table.header)}

        def fault(column: str, code: str, message: str) -> None:
            faults.append(Fault(row.row, column, places.get(column), code, message))

        if row.ref in self._refs:
            fault("ref", "twice", f"row {self._refs[row.ref]} is called {row.ref!r} too")
        self._refs.setdefault(row.ref, row.row)
        if row.parent_ref and draft is not None and not faults:
            parent = self._ids.get(row.parent_ref)
            if parent is not None:
                draft = draft.model_copy(update={"parent": parent})
            elif row.parent_ref in self._refs and row.parent_ref != row.ref:
                fault(
                    "parent_ref",
                    "parent_refused",
                    f"its parent in row {self._refs[row.parent_ref]} is refused",
                )
            else:
                fault("parent_ref", "not_found", f"no row above is called {row.parent_ref!r}")
        if faults or draft is None:
            return None
        try:
            made = self._drafts.take(draft)
        except YundanError as error:
            fault(error.field, error.code, str(error))
            return None
        self._ids[row.ref] = made.id
        return made


def _resolved(row: Row, known: dict[str, list[Any]], places: dict[str, int]) -> Row:
    given, faults = dict(row.given), list(row.faults)
    for name, called in row.names.items():
        found = known.get(called, [])
        if len(found) == 1:
            given[name] = str(found[0].id)
            continue
        said = "no party is" if not found else f"{len(found)} parties are"
        faults.append(
            Fault(
                row.row,
                name,
                places.get(name),
                "party_name",
                f"{said} called {called[:60]!r}; give its number",
            )
        )
        given.pop(name)
    return dataclasses.replace(row, given=given, faults=faults)


# -- export ---------------------------------------------------------------------------------------


def run_export(container: Container, job: Job) -> None:
    """Exports a party's waybills in the network-freight field set.

    Raises:
        TooManyRowsError: more than ``MOST_EXPORTED``.
        ClaimLostError: another process has the job.
    """
    rows = list(_export_rows(container, job))
    form = str(job.options.get("format", "xlsx"))
    _note(container, job, stage="writing", total=len(rows))
    content = (
        write_csv(EXPORT_HEADER, rows) if form == "csv" else write_workbook(EXPORT_HEADER, rows)
    )
    with container.write() as services:
        services.jobs.add_file(job.id, "result", JobFile(media_type_of(form), content))
        services.jobs.finish(job, State.DONE, total=len(rows), done=len(rows), good=len(rows))
        _tell(services, job, State.DONE, total=len(rows))


def _export_rows(container: Container, job: Job) -> Iterator[list[Any]]:
    wanted = job.options.get("stage")
    stage = Stage(wanted) if wanted else None
    since, until = (
        int(dt.datetime.fromisoformat(job.options[name]).timestamp())
        if job.options.get(name)
        else None
        for name in ("load_from_since", "load_from_until")
    )
    before, count = None, 0
    while True:
        with container.read() as services:
            page = services.records.list_waybills(
                party=job.party, stage=stage, before=before, limit=STEP
            )
            sides = {side for _, one in page for side in parties_of(one)}
            parties = services.records.list_parties(sorted(sides))
        for _, waybill in page:
            at = waybill.form.load_from
            if (since is None or at >= since) and (until is None or at < until):
                count += 1
                yield export_row(waybill, parties)
        if count > MOST_EXPORTED:
            raise TooManyRowsError
        if len(page) < STEP:
            return
        before = page[-1][0]
        _note(container, job, stage="reading", done=count)
