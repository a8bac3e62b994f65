"""Jobs: import and export many waybills, watch them, and take what has come of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.auth import Caller
from api.bulk.jobs import ENDED, Job, JobFile
from api.bulk.table import CSV, EXCEL, TableRefusedError
from api.bulk.workbook import media_type_of, template
from api.dependencies import Drafter, OnceOnly, RawBody, Reader, TheContainer
from api.ports import Container, Services
from api.schemas.jobs import (
    ExportAsked,
    FaultPage,
    FaultShown,
    JobPage,
    JobShown,
    JobText,
    Kind,
    RowPage,
    RowTaken,
)
from api.validators import IfMatch, require_match, tagged
from chain.errors import InvalidValueError, NotFoundError

router = APIRouter(prefix="/jobs", tags=["jobs"])

LOOK_S = 0.25
"""Pause between two looks at a job whose progress is watched."""

QUIET_S = 10.0
"""A comment is sent after so much silence, so that proxies keep the line."""

_FILE = {"schema": {"type": "string", "format": "binary"}}


def show_job(job: Job) -> JobShown:
    """A job as its party sees it."""
    files = []
    if job.kind is Kind.WAYBILL_IMPORT and job.bad and job.finished_at is not None:
        files.append(f"/v1/jobs/{job.id}/corrections")
    if job.kind is Kind.WAYBILL_EXPORT and job.state == "done":
        files.append(f"/v1/jobs/{job.id}/result")
    return JobShown(
        id=job.id,
        kind=job.kind,
        state=job.state,
        stage=job.stage,
        total=job.total,
        done=job.done,
        good=job.good,
        bad=job.bad,
        written=job.written,
        code=job.code,
        message=job.message,
        is_dry_run=bool(job.options.get("dry_run")),
        created_at=job.created_at,
        finished_at=job.finished_at,
        files=files,
    )


def get_visible(services: Services, job: str, caller: Caller) -> Job:
    """A job of the caller's party.

    Raises:
        NotFoundError: there is none, or it is another's.
    """
    found = services.jobs.find(job)
    if found is None or found.party != caller.require_self():
        raise NotFoundError("there is no such job")
    return found


# -- asking ---------------------------------------------------------------------------------------


def _words(text: str, name: str) -> dict[str, str]:
    """An object of texts, as JSON in a query."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if (
        not isinstance(read, dict)
        or len(read) > 100
        or not all(isinstance(one, str) and len(one) <= 200 for one in read.values())
        or any("\x00" in part or not part.isprintable() for pair in read.items() for part in pair)
    ):
        raise InvalidValueError(
            f'{name} is a JSON object of texts, e.g. {{"客户单号": "ref"}}', field=name
        )
    return read


@router.post(
    "/imports",
    status_code=202,
    response_model=JobShown,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {CSV: {"schema": {"type": "string"}}, EXCEL: _FILE},
        }
    },
)
def import_waybills(
    *,
    request: Request,
    caller: Drafter,
    once: OnceOnly,
    body: RawBody,
    mode: Annotated[
        Literal["all", "good"],
        Query(description="all: one bad row and nothing is written; good: the good rows are"),
    ] = "all",
    dry_run: Annotated[bool, Query(description="check everything, write nothing")] = False,
    mapping: Annotated[
        str,
        Query(
            max_length=4000,
            description="JSON object: our column by the file's; an empty text passes a column over",
            examples=['{"客户单号": "ref", "吨位": ""}'],
        ),
    ] = "{}",
    defaults: Annotated[
        str,
        Query(
            max_length=4000,
            description="JSON object: what stands in columns that the file lacks",
            examples=['{"term_days": "30", "route": "N-W"}'],
        ),
    ] = "{}",
) -> Response:
    """Takes a CSV or Excel file of up to 20,000 waybills; the answer is a job to watch.

    Columns may have our names or those of the network-freight field set (托运单号, 分段分单号, 实际承运人 ...).
    """
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind not in {CSV, EXCEL}:
        raise TableRefusedError(
            f"send the file as {CSV} or {EXCEL}", field="Content-Type", given=kind[:80]
        )
    if not body:
        raise TableRefusedError("the file is empty", field="file")
    charset = parameters.partition("charset=")[2].strip().strip('"') or "utf-8"
    options = {
        "mode": mode,
        "dry_run": dry_run,
        "mapping": _words(mapping, "mapping"),
        "defaults": _words(defaults, "defaults"),
        "charset": charset[:40],
    }
    file = JobFile(kind, body)

    def work(services: Services) -> JobShown:
        queued = services.jobs.queue(
            Kind.WAYBILL_IMPORT, caller.require_self(), caller.name, options, file=file
        )
        return show_job(queued)

    return once.run(caller.name, work, 202)


@router.post("/exports", status_code=202, response_model=JobShown)
def export_waybills(asked: ExportAsked, caller: Reader, once: OnceOnly) -> Response:
    """Exports the caller's waybills in the network-freight field set; the answer is a job to watch."""
    options = asked.model_dump(mode="json", exclude_none=True)

    def work(services: Services) -> JobShown:
        queued = services.jobs.queue(
            Kind.WAYBILL_EXPORT, caller.require_self(), caller.name, options
        )
        return show_job(queued)

    return once.run(caller.name, work, 202)


@router.get(
    "/import_template",
    response_class=Response,
    responses={200: {"description": "An empty table", "content": {EXCEL: _FILE, CSV: _FILE}}},
)
def get_template(
    _: Reader,
    format: Annotated[Literal["xlsx", "csv"], Query()] = "xlsx",  # noqa: A002  as people ask
    names: Annotated[Literal["zh", "en"], Query(description="language of the columns")] = "zh",
) -> Response:
    """An empty table with every column that an import understands."""
    content = template(english=names == "en", as_csv=format == "csv")
    return _attachment(JobFile(media_type_of(format), content), f"waybills.{format}")


# -- watching -------------------------------------------------------------------------------------


@router.get("")
def list_jobs(
    *,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: JobText | None = None,
    ending_before: JobText | None = None,
) -> JobPage:
    """The caller's jobs, newest first."""
    with container.read() as services:
        before = get_visible(services, starting_after, caller).number if starting_after else None
        after = get_visible(services, ending_before, caller).number if ending_before else None
        rows = services.jobs.list_of(
            caller.require_self(), before=before, after=after, limit=limit + 1
        )
    more = len(rows) > limit
    page = rows[-limit:] if after is not None else rows[:limit]
    return JobPage(
        data=[show_job(one) for one in page],
        has_more=more,
        next_cursor=page[-1].id if more else None,
    )


@router.get("/{job}", response_model=JobShown)
def get_job(job: JobText, request: Request, caller: Reader, container: TheContainer) -> Response:
    """A job and how far it has come."""
    with container.read() as services:
        return tagged(request, show_job(get_visible(services, job, caller)))


def _watched(job: JobText, caller: Reader, container: TheContainer) -> Job:
    """A job that the caller may watch; asked before the answer begins."""
    with container.read() as services:
        return get_visible(services, job, caller)


def _look(container: Container, job: str) -> Job:
    with container.read() as services:
        found = services.jobs.find(job)
    assert found is not None, "jobs are never deleted"
    return found


@router.get("/{job}/events", response_class=EventSourceResponse)
async def watch(
    watched: Annotated[Job, Depends(_watched)], container: TheContainer
) -> AsyncIterator[ServerSentEvent]:
    """Progress as server-sent events: `progress` whenever it has moved, and `end` with the last state."""
    seen, silent = None, 0.0
    while True:
        job = await run_in_threadpool(_look, container, watched.id)
        shown = show_job(job)
        if shown != seen:
            name = "end" if job.state in ENDED else "progress"
            yield ServerSentEvent(data=shown, event=name, id=f"{job.state}-{job.done}", retry=2000)
            seen, silent = shown, 0.0
        if job.state in ENDED:
            return
        if silent >= QUIET_S:
            yield ServerSentEvent(comment="still here")
            silent = 0.0
        await asyncio.sleep(LOOK_S)
        silent += LOOK_S


@router.post("/{job}/cancel", response_model=JobShown)
def cancel(job: JobText, caller: Drafter, once: OnceOnly, if_match: IfMatch = None) -> Response:
    """Ends a job that has not ended; what it has not written it never will."""

    def work(services: Services) -> JobShown:
        if if_match is not None:
            require_match(if_match, show_job(get_visible(services, job, caller)))
        return show_job(services.jobs.cancel(job, caller.require_self()))

    return once.run(caller.name, work, 200)


# -- what has come of it --------------------------------------------------------------------------


@router.get("/{job}/faults")
def list_faults(
    *,
    job: JobText,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    starting_after: Annotated[int, Query(ge=-1, lt=2**31)] = -1,
) -> FaultPage:
    """Every bad cell of an import: where it is and what is wrong with it."""
    with container.read() as services:
        found = get_visible(services, job, caller)
        rows = services.jobs.list_faults(found.id, after=starting_after, limit=limit + 1)
    page, more = rows[:limit], len(rows) > limit
    return FaultPage(
        data=[FaultShown.model_validate(one) for one in page],
        has_more=more,
        next_cursor=page[-1].position if more else None,
    )


@router.get("/{job}/waybills")
def list_written(
    *,
    job: JobText,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    starting_after: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> RowPage:
    """What each row of an import has become."""
    with container.read() as services:
        found = get_visible(services, job, caller)
        rows = services.jobs.list_waybills(found.id, after=starting_after, limit=limit + 1)
    page, more = rows[:limit], len(rows) > limit
    return RowPage(
        data=[RowTaken(row=one.row, ref=one.ref, waybill=one.waybill_id) for one in page],
        has_more=more,
        next_cursor=page[-1].row if more else None,
    )


@router.get(
    "/{job}/corrections",
    response_class=Response,
    responses={
        200: {"description": "The bad rows, to correct and send again", "content": {EXCEL: _FILE}}
    },
)
def get_corrections(job: JobText, caller: Reader, container: TheContainer) -> Response:
    """The bad rows of an import as a workbook: wrong cells red, reasons last; correct it and send it again."""
    return _file(job, "corrections", caller, container, "corrections.xlsx")


@router.get(
    "/{job}/result",
    response_class=Response,
    responses={200: {"description": "The export", "content": {EXCEL: _FILE, CSV: _FILE}}},
)
def get_result(job: JobText, caller: Reader, container: TheContainer) -> Response:
    """The file that an export has written."""
    return _file(job, "result", caller, container, "")


def _file(job: str, name: str, caller: Caller, container: Container, called: str) -> Response:
    with container.read() as services:
        found = get_visible(services, job, caller)
        file = services.jobs.find_file(found.id, name)
    if file is None:
        raise NotFoundError(f"this job has no {name}")
    return _attachment(file, called or f"waybills.{'csv' if 'csv' in file.media_type else 'xlsx'}")


def _attachment(file: JobFile, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(file.content, media_type=file.media_type, headers=headers)
