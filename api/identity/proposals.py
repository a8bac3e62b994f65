"""Four eyes: what moves money or raises risk is prepared by one person and approved by another.

A proposal names one request word for word (method, path, body). Once another person has approved it, that
request, and no other, goes through, once.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.auth import Caller
from api.errors import ApiError, ForbiddenScopeError
from api.identity.people import new_id
from api.identity.tables import RequestProposalRow
from chain.clock import Clock
from chain.errors import NotFoundError, UnexpectedStateError
from chain.paging import behind

LIVES = dt.timedelta(days=2)


class ProposalState(StrEnum):
    """Where a proposal stands."""

    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"
    USED = "used"


MOVES: dict[ProposalState, frozenset[ProposalState]] = {
    ProposalState.OPEN: frozenset({ProposalState.APPROVED, ProposalState.REFUSED}),
    ProposalState.APPROVED: frozenset({ProposalState.USED, ProposalState.REFUSED}),
    ProposalState.REFUSED: frozenset(),
    ProposalState.USED: frozenset(),
}
"""From each state, where a proposal may go."""


class SecondPersonNeededError(ForbiddenScopeError):
    """This organisation works with four eyes: propose the request (POST /v1/proposals) and have it approved."""

    code = "second_person_needed"


class SamePersonError(ApiError):
    """Who has prepared something does not approve it."""

    code = "same_person"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A request that waits for a second person, or has had its answer."""

    id: str
    org: str
    method: str
    path: str
    body: Any
    made_by: str
    made_at: dt.datetime
    expires_at: dt.datetime
    state: ProposalState
    decided_by: str
    decided_at: dt.datetime | None
    reason: str


def request_hash(method: str, path: str, body: Any) -> str:
    """What makes two requests the same: method, path, and the body's value (not its spelling)."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(f"{method.upper()} {path}\n{canonical}".encode()).hexdigest()


class Proposals:
    """The proposals in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def make(self, org: str, caller: Caller, method: str, path: str, body: Any) -> Proposal:
        """Keeps a request for a second person."""
        now = self._clock.now()
        row = RequestProposalRow(
            proposal_id=new_id("pro"),
            org_id=org,
            method=method.upper(),
            path=path,
            body=body,
            request_hash=request_hash(method, path, body),
            made_by=_who(caller),
            state=ProposalState.OPEN.value,
            made_at=now,
            expires_at=now + LIVES,
        )
        self._session.add(row)
        self._session.flush()
        return _proposal(row)

    def list_of(
        self, org: str, *, after: Proposal | None = None, limit: int = 100
    ) -> list[Proposal]:
        """The proposals of an organisation, newest first; ``after`` and ``limit`` page through them."""
        query = select(RequestProposalRow).where(col(RequestProposalRow.org_id) == org)
        order = (col(RequestProposalRow.made_at), col(RequestProposalRow.proposal_id))
        place = None if after is None else (after.made_at, after.id)
        query = behind(query, order, place, newest=True)
        return [_proposal(row) for row in self._session.exec(query.limit(limit))]

    def find(self, org: str, proposal: str) -> Proposal | None:
        """A proposal of an organisation."""
        row = self._session.get(RequestProposalRow, proposal)
        return None if row is None or row.org_id != org else _proposal(row)

    def decide(
        self, org: str, proposal: str, caller: Caller, *, approve: bool, reason: str = ""
    ) -> Proposal:
        """A second person's word.

        Raises:
            NotFoundError: the organisation has no such proposal.
            SamePersonError: he made it himself.
            UnexpectedStateError: it was decided, used or is too old.
        """
        row = self._session.get(RequestProposalRow, proposal, with_for_update=True)
        if row is None or row.org_id != org:
            raise NotFoundError("there is no such proposal")
        if approve and row.made_by == _who(caller):
            raise SamePersonError
        wanted = ProposalState.APPROVED if approve else ProposalState.REFUSED
        if wanted not in MOVES[ProposalState(row.state)] or self._clock.now() >= row.expires_at:
            raise UnexpectedStateError(
                f"the proposal is {row.state} and lives until {row.expires_at:%Y-%m-%d %H:%M} UTC",
                current=row.state,
                wanted=wanted.value,
            )
        row.state, row.decided_by = wanted.value, _who(caller)
        row.decided_at, row.reason = self._clock.now(), reason
        self._session.add(row)
        self._session.flush()
        return _proposal(row)

    def use(self, org: str, method: str, path: str, body: Any, key: str) -> None:
        """Lets an approved request through, once; again under the same Idempotency-Key it is the same act.

        Raises:
            SecondPersonNeededError: nobody has approved this very request.
        """
        same = (
            (col(RequestProposalRow.org_id) == org)
            & (col(RequestProposalRow.request_hash) == request_hash(method, path, body))
            & (col(RequestProposalRow.expires_at) > self._clock.now())
        )
        used = select(RequestProposalRow).where(same, col(RequestProposalRow.used_key) == key)
        if key and self._session.exec(used).first() is not None:
            return
        waiting = (
            select(RequestProposalRow.proposal_id)
            .where(same, col(RequestProposalRow.state) == ProposalState.APPROVED.value)
            .limit(1)
            .with_for_update()
        )
        found = self._session.exec(waiting).first()
        # claimed by one conditional UPDATE: of two at once one goes through
        claim = (
            sa.update(RequestProposalRow)
            .where(col(RequestProposalRow.proposal_id) == (found or ""))
            .where(col(RequestProposalRow.state) == ProposalState.APPROVED.value)
            .values(state=ProposalState.USED.value, used_key=key)
        )
        if self._session.execute(claim).rowcount != 1:  # type: ignore[attr-defined]  # CursorResult of an UPDATE
            raise SecondPersonNeededError


def _who(caller: Caller) -> str:
    # a person by his account, not by his membership: two memberships are not two people
    return caller.account_id or caller.name


def _proposal(row: RequestProposalRow) -> Proposal:
    return Proposal(
        id=row.proposal_id,
        org=row.org_id,
        method=row.method,
        path=row.path,
        body=row.body,
        made_by=row.made_by,
        made_at=row.made_at,
        expires_at=row.expires_at,
        state=ProposalState(row.state),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.reason,
    )
