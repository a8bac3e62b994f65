"""Jobs: imports and exports of many waybills."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from api.object_ids import pattern_of
from api.schemas.values import (
    Given,
    Instant,
    Shown,
    WaybillRef,
)
from chain.waybill import Stage

JobText = Annotated[
    str, Field(pattern=pattern_of("job"), examples=["job_0123456789abcdef01234567"])
]


class Kind(StrEnum):
    """What a job does."""

    WAYBILL_IMPORT = "waybill_import"
    WAYBILL_EXPORT = "waybill_export"


class State(StrEnum):
    """Where a job stands; QUEUED → RUNNING → one of the others."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    """Its counts tell what came of it; an import of bad rows alone is done, too."""
    FAILED = "failed"
    """The file or the question as a whole was at fault; the code says how."""
    CANCELLED = "cancelled"


class JobShown(Shown):
    """A job and how far it has come."""

    id: JobText
    object: Literal["job"] = "job"
    kind: Kind
    state: State
    stage: str = Field(
        description="reading, checking or writing while it runs", examples=["checking"]
    )
    total: int = Field(description="rows in all", examples=[20_000])
    done: int = Field(description="rows looked at", examples=[12_500])
    good: int = Field(examples=[12_498])
    bad: int = Field(description="rows refused; `/faults` names each cell", examples=[2])
    written: int = Field(description="waybills stored", examples=[0])
    code: str = Field(
        description="why nothing was written, a stable word", examples=["rows_refused"]
    )
    message: str = Field(examples=[""])
    is_dry_run: bool = Field(examples=[False])
    created_at: Instant
    finished_at: Instant | None
    files: list[str] = Field(
        description="paths of what has come of it",
        examples=[["/v1/jobs/job_01234567.../corrections"]],
    )


class JobPage(Shown):
    """A page of jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[JobShown]
    has_more: bool
    next_cursor: str | None = Field(description="give it as `starting_after` for the next page")


class FaultShown(Shown):
    """What is wrong with a cell of a file."""

    row: int = Field(description="row in the file, from 1", examples=[17])
    column: str = Field(description="as the file names it", examples=["运费金额"])
    cell: str = Field(description="empty where the row as a whole is at fault", examples=["M17"])
    code: str = Field(examples=["invalid_value"])
    message: str = Field(
        examples=["'8,640.005' is not a whole number (yuan with at most two decimals)"]
    )


class FaultPage(Shown):
    """A page of faults, in the order of the rows."""

    object: Literal["list"] = "list"
    data: list[FaultShown]
    has_more: bool
    next_cursor: int | None = Field(
        description="give it as `starting_after` for the next page", examples=[100]
    )


class RowTaken(Shown):
    """What a row has become."""

    row: int = Field(examples=[17])
    ref: str = Field(examples=["r-17"])
    waybill: WaybillRef


class RowPage(Shown):
    """A page of rows and their waybills, by row."""

    object: Literal["list"] = "list"
    data: list[RowTaken]
    has_more: bool
    next_cursor: int | None = Field(
        description="give it as `starting_after` for the next page", examples=[100]
    )


class ExportAsked(Given):
    """Which waybills to export."""

    format: Literal["xlsx", "csv"] = "xlsx"
    stage: Annotated[Stage, Field(strict=False)] | None = None
    load_from_since: Instant | None = Field(
        default=None, description="loading from this instant on"
    )
    load_from_until: Instant | None = Field(default=None, description="loading before this instant")
