"""Jobs: what is asked for, how far it has come, and the files that go in and come out.

A job is claimed for a while by one process, which renews its claim as it goes on; a process that dies lets
it run out, and the next one begins the job anew. Nothing of a job's result is stored before its last
transaction, so beginning anew is harmless however often.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
import sqlmodel
from sqlmodel import Session, col

from api.bulk.columns import Fault
from api.bulk.table import cell_name
from api.errors import ApiError
from api.object_ids import new_id
from api.paging import newest_first
from api.schemas.jobs import Kind, State
from api.tables import JobFaultRow, JobFileRow, JobRow, JobWaybillRow
from chain.clock import Clock
from chain.errors import NotFoundError
from chain.ids import PartyId

CLAIM = dt.timedelta(seconds=30)
MOST_AT_ONCE = 10
"""Jobs of one party that are not finished."""

MANY = 1_000


ENDED = (State.DONE, State.FAILED, State.CANCELLED)


class TooManyJobsError(ApiError):
    """A party has at most so many unfinished jobs."""

    code = "too_many_jobs"


class JobEndedError(ApiError):
    """The job has ended; it cannot be cancelled."""

    code = "job_ended"


class ClaimLostError(ApiError):
    """Another process has taken this job over, or it was cancelled."""

    code = "claim_lost"


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes:
        options: what was asked, JSON values.
        stage: what it is at, for people: reading, checking, writing.
        total: rows in all. done: rows looked at. good, bad: of those. written: what was stored.
        code: why it failed, a stable word; ``message`` for people.
    """

    id: str
    number: int
    party: PartyId
    caller: str
    kind: Kind
    state: State
    options: Mapping[str, Any]
    stage: str
    total: int
    done: int
    good: int
    bad: int
    written: int
    code: str
    message: str
    created_at: dt.datetime
    changed_at: dt.datetime
    finished_at: dt.datetime | None
    claim: str


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job."""

    media_type: str
    content: bytes


class Jobs:
    """The jobs in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    # -- asking -------------------------------------------------------------------------------

    def queue(
        self,
        kind: Kind,
        party: PartyId,
        caller: str,
        options: Mapping[str, Any],
        *,
        file: JobFile | None = None,
    ) -> Job:
        """Asks for a job; it is begun after the surrounding transaction has committed.

        Raises:
            TooManyJobsError: the party has ``MOST_AT_ONCE`` unfinished ones.
        """
        open_jobs = sqlmodel.select(sa.func.count()).where(
            col(JobRow.party_id) == str(party), col(JobRow.state).not_in(ENDED)
        )
        if self._session.exec(open_jobs).one() >= MOST_AT_ONCE:
            raise TooManyJobsError(f"a party has at most {MOST_AT_ONCE} unfinished jobs")
        now = self._clock.now()
        row = JobRow(
            job_id=new_id("job"),
            party_id=str(party),
            caller=caller,
            kind=kind.value,
            state=State.QUEUED.value,
            options=dict(options),
            created_at=now,
            changed_at=now,
        )
        self._session.add(row)
        if file is not None:
            self.add_file(row.job_id, "input", file)
        self._session.flush()
        return _job(row)

    def cancel(self, job: str, party: PartyId) -> Job:
        """Ends a job that has not ended; what it has not written it never will.

        Raises:
            NotFoundError: the party has no such job.
            JobEndedError: it has ended otherwise.
        """
        row = self._row(job)
        if row is None or row.party_id != str(party):
            raise NotFoundError("there is no such job")
        if row.state == State.CANCELLED:
            return _job(row)
        now = self._clock.now()
        done = self._session.execute(
            sa.update(JobRow)
            .where(col(JobRow.job_id) == job, col(JobRow.state).not_in(ENDED))
            .values(state=State.CANCELLED.value, changed_at=now, finished_at=now, claim="")
            .returning(sa.literal(1))
            .execution_options(synchronize_session=False)
        ).first()
        if done is None:
            raise JobEndedError(f"the job is {row.state}")
        self._session.refresh(row)
        return _job(row)

    # -- doing --------------------------------------------------------------------------------

    def has_due(self) -> bool:
        """Whether a job waits to be begun or begun anew."""
        query = sqlmodel.select(JobRow.number).where(self._is_due()).limit(1)
        return self._session.exec(query).first() is not None

    def claim(self) -> Job | None:
        """Takes the oldest job that waits; None if none does."""
        row = self._session.exec(
            sqlmodel.select(JobRow).where(self._is_due()).order_by(col(JobRow.number)).limit(1)
        ).first()
        if row is None:
            return None
        now, claim = self._clock.now(), secrets.token_hex(8)
        taken = self._session.execute(
            sa.update(JobRow)
            .where(col(JobRow.number) == row.number, self._is_due())
            .values(
                state=State.RUNNING.value,
                claim=claim,
                claimed_until=now + CLAIM,
                changed_at=now,
                stage="reading",
                done=0,
                good=0,
                bad=0,
            )
            .returning(sa.literal(1))
            .execution_options(synchronize_session=False)
        ).first()
        if taken is None:
            return None
        self._session.refresh(row)
        return _job(row)

    def note(self, job: Job, **changes: Any) -> None:
        """Writes down how far a claimed job has come and renews the claim.

        Raises:
            ClaimLostError: another process has it, or it was cancelled.
        """
        now = self._clock.now()
        kept = self._session.execute(
            sa.update(JobRow)
            .where(
                col(JobRow.job_id) == job.id,
                col(JobRow.claim) == job.claim,
                col(JobRow.state) == State.RUNNING.value,
            )
            .values(changed_at=now, claimed_until=now + CLAIM, **changes)
            .returning(sa.literal(1))
            .execution_options(synchronize_session=False)
        ).first()
        if kept is None:
            raise ClaimLostError

    def finish(self, job: Job, state: State, **changes: Any) -> None:
        """Ends a claimed job, in the transaction that writes its result.

        Raises:
            ClaimLostError: another process has it, or it was cancelled.
        """
        self.note(job, state=state.value, stage="", finished_at=self._clock.now(), **changes)

    def add_file(self, job: str, name: str, file: JobFile) -> None:
        """Keeps a file of a job."""
        self._session.merge(
            JobFileRow(job_id=job, name=name, media_type=file.media_type, content=file.content)
        )
        self._session.flush()

    def add_faults(self, job: str, faults: Sequence[Fault]) -> None:
        """Keeps every fault of an import, in the order of its rows."""
        rows = [
            {
                "job_id": job,
                "position": position,
                "row": fault.row,
                "column": fault.column[:80],
                "cell": "" if fault.place is None else cell_name(fault.row, fault.place),
                "code": fault.code[:60],
                "message": fault.message[:2000],
            }
            for position, fault in enumerate(faults)
        ]
        self._insert(JobFaultRow, rows)

    def add_waybills(self, job: str, taken: Iterable[tuple[int, str, str]]) -> None:
        """Keeps what each row has become: (row, ref, waybill)."""
        self._insert(
            JobWaybillRow,
            [
                {"job_id": job, "row": row, "ref": ref[:200], "waybill_id": waybill}
                for row, ref, waybill in taken
            ],
        )

    def _insert(self, table: type[Any], rows: Sequence[dict[str, Any]]) -> None:
        for first in range(0, len(rows), MANY):
            self._session.execute(sa.insert(table), rows[first : first + MANY])

    # -- seeing -------------------------------------------------------------------------------

    def find(self, job: str) -> Job | None:
        """A job by its id."""
        row = self._row(job)
        return None if row is None else _job(row)

    def list_of(
        self, party: PartyId, *, before: int | None = None, after: int | None = None, limit: int
    ) -> list[Job]:
        """A page of a party's jobs, newest first; ``after`` gives the page before a cursor."""
        query = sqlmodel.select(JobRow).where(col(JobRow.party_id) == str(party))
        rows = newest_first(
            self._session, query, col(JobRow.number), before=before, after=after, limit=limit
        )
        return [_job(row) for row in rows]

    def find_file(self, job: str, name: str) -> JobFile | None:
        """A file of a job."""
        row = self._session.get(JobFileRow, (job, name))
        return None if row is None else JobFile(row.media_type, row.content)

    def list_faults(self, job: str, *, after: int = -1, limit: int) -> Sequence[JobFaultRow]:
        """A page of an import's faults, in the order of its rows."""
        query = (
            sqlmodel.select(JobFaultRow)
            .where(col(JobFaultRow.job_id) == job, col(JobFaultRow.position) > after)
            .order_by(col(JobFaultRow.position))
            .limit(limit)
        )
        return self._session.exec(query).all()

    def list_waybills(self, job: str, *, after: int = 0, limit: int) -> Sequence[JobWaybillRow]:
        """A page of what an import's rows have become, by row."""
        query = (
            sqlmodel.select(JobWaybillRow)
            .where(col(JobWaybillRow.job_id) == job, col(JobWaybillRow.row) > after)
            .order_by(col(JobWaybillRow.row))
            .limit(limit)
        )
        return self._session.exec(query).all()

    def _row(self, job: str) -> JobRow | None:
        return self._session.exec(sqlmodel.select(JobRow).where(col(JobRow.job_id) == job)).first()

    def _is_due(self) -> sa.ColumnElement[bool]:
        left = sa.and_(
            col(JobRow.state) == State.RUNNING.value,
            col(JobRow.claimed_until) < self._clock.now(),
        )
        return sa.or_(col(JobRow.state) == State.QUEUED.value, left)


def _job(row: JobRow) -> Job:
    return Job(
        id=row.job_id,
        number=row.number or 0,
        party=PartyId(int(row.party_id)),
        caller=row.caller,
        kind=Kind(row.kind),
        state=State(row.state),
        options=row.options,
        stage=row.stage,
        total=row.total,
        done=row.done,
        good=row.good,
        bad=row.bad,
        written=row.written,
        code=row.code,
        message=row.message,
        created_at=row.created_at,
        changed_at=row.changed_at,
        finished_at=row.finished_at,
        claim=row.claim,
    )
