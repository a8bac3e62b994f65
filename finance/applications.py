"""Use cases of asking for a credit line: an application, decided by itself with reasons, then two people's word.

The borrower says what he wants; the rules of stage ``admit`` answer at once, with every rule's outcome and the
limit that his verified trips earn. What they do not refuse goes to the lender with an offer: his people prepare
and approve the line's form (``/v1/lines``, four eyes), both sides sign, and the chain opens the line, which ends
the application. An application moves no money and promises none.
"""

from __future__ import annotations

import time
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from chain.clock import beijing_day
from chain.document import document_hash
from chain.errors import NotFoundError, UnexpectedStateError
from finance import law
from finance.accrual import date_of
from finance.errors import InvalidAmountError, InvalidTermsError
from finance.history import limit_of
from finance.records import ApplicationState, DecisionRecord, LineApplication
from finance.relations import Relations, party_name
from finance.risk import Stage, Verdict, decide
from finance.standing import stand
from finance.terms import MAX_TENOR_DAYS
from finance.use_cases import MoneyUseCases
from finance.watch import Action

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from chain.ids import PartyId
    from finance.ports import Books
    from finance.records import LineRecord

FREIGHT_DAYS: Final = 90
"""Circles are looked for in the freight of so many days."""


MOVES: Final[Mapping[ApplicationState, frozenset[ApplicationState]]] = MappingProxyType(
    {
        ApplicationState.OFFERED: frozenset(
            {ApplicationState.REFUSED, ApplicationState.WITHDRAWN, ApplicationState.OPENED}
        ),
        ApplicationState.REFUSED: frozenset(),
        ApplicationState.WITHDRAWN: frozenset(),
        ApplicationState.OPENED: frozenset(),
    }
)


def move(application: LineApplication, wanted: ApplicationState, **changes: Any) -> LineApplication:
    """An application in its next state.

    Raises:
        UnexpectedStateError: the table has no such move.
    """
    if wanted not in MOVES[application.state]:
        raise UnexpectedStateError(
            f"an application that is {application.state} cannot become {wanted}",
            current=application.state.value,
            wanted=wanted.value,
        )
    return replace(application, state=wanted, **changes)


def end_by_line(books: Books, record: LineRecord, at: dt.datetime) -> None:
    """A line stands on chain: what its two sides had open is over."""
    for held in books.list_applications(lender=record.lender, borrower=record.borrower):
        if held.state is ApplicationState.OFFERED:
            opened = move(held, ApplicationState.OPENED, line=record.line, ended_at=at)
            books.save_application(opened)


class ApplicationUseCases(MoneyUseCases):
    """From the wish to the line."""

    def apply_for_line(
        self,
        *,
        lender: PartyId,
        borrower: PartyId,
        asked_fen: int,
        tenor_days: int,
        note: str = "",
        by: str = "",
    ) -> tuple[LineApplication, DecisionRecord]:
        """Decides on a firm's wish for a line, and keeps both; also when it is refused.

        Args:
            lender: who shall lend.
            borrower: who asks.
            asked_fen: the limit wanted.
            tenor_days: for how long a loan shall run at most.
            note: his own words.
            by: who acts for him.

        Raises:
            InvalidAmountError, InvalidTermsError: nothing asked, no such tenor, or his own lender.
        """  # fmt: skip
        if asked_fen <= 0:
            raise InvalidAmountError("a limit is above zero", field="limit_fen", given=asked_fen)
        if not 1 <= tenor_days <= MAX_TENOR_DAYS:
            raise InvalidTermsError(
                f"a tenor lies between 1 and {MAX_TENOR_DAYS} days", field="tenor_days"
            )
        if lender == borrower:
            raise InvalidTermsError("nobody lends to himself", field="lender")
        started = time.perf_counter_ns()
        now = self._clock.now()
        today = beijing_day(now)
        inputs, earned = self._admission_inputs(lender, borrower, asked_fen, today)
        name = document_hash(
            {
                "lender": str(lender), "borrower": str(borrower), "asked_fen": asked_fen,
                "tenor_days": tenor_days, "at": now.isoformat(), "by": by,
            }
        )  # fmt: skip
        made = decide(self._forest, inputs, stage=Stage.ADMIT, subject=name, at=now)
        kept = self._keep_decision(
            made, Stage.ADMIT, name, asked_fen=asked_fen, lender=lender, at=now, started=started
        )
        caps = [asked_fen, int(earned["limit_fen"])]
        if made.cap_fen is not None:
            caps.append(made.cap_fen)
        refused = made.verdict is Verdict.REFUSE or min(caps) <= 0
        application = LineApplication(
            id=name,
            lender=lender,
            borrower=borrower,
            asked_fen=asked_fen,
            offered_fen=0 if refused else min(caps),
            tenor_days=tenor_days,
            note=note,
            decision=made.hash,
            earned=earned,
            made_at=now,
            made_by=by,
            state=ApplicationState.REFUSED if refused else ApplicationState.OFFERED,
            ended_at=now if refused else None,
            ended_by="rules" if refused else "",
            reason="; ".join(one.en for one in made.reasons if one.effect in _AGAINST)
            if refused
            else "",
        )
        self._books.save_application(application)
        return application, kept

    def refuse_application(self, application: str, *, by: str, reason: str) -> LineApplication:
        """The lender says no, with his reason.

        Raises:
            NotFoundError: there is none.
            UnexpectedStateError: it is over already.
        """
        return self._end(application, ApplicationState.REFUSED, by=by, reason=reason)

    def withdraw_application(self, application: str, *, by: str) -> LineApplication:
        """The borrower takes it back.

        Raises:
            NotFoundError: there is none.
            UnexpectedStateError: it is over already.
        """
        return self._end(application, ApplicationState.WITHDRAWN, by=by, reason="")

    def _end(
        self, application: str, wanted: ApplicationState, *, by: str, reason: str
    ) -> LineApplication:
        held = self._books.find_application(application)
        if held is None:
            raise NotFoundError("there is no such application")
        ended = move(held, wanted, ended_at=self._clock.now(), ended_by=by, reason=reason)
        self._books.save_application(ended)
        return ended

    def _admission_inputs(
        self, lender: PartyId, borrower: PartyId, asked_fen: int, today: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the rules of admission may ask about, and the earned limit as it is shown."""
        now = self._clock.now()
        standing = stand(self._books, lender=lender, borrower=borrower, debtor=borrower, now=now)
        own, known, rooms = party_name(borrower), standing.known, standing.rooms
        warned = self._books.list_warnings(lender=lender, borrower=borrower)
        limit = limit_of(
            self._books.list_receivables(owner=borrower), warned, today,
            present_fen=None, room_fen=tuple(rooms.items()),
        )  # fmt: skip
        lines = self._books.list_lines(lender=lender, borrower=borrower)
        freight = Relations(self._books.list_freight_around(own, today - FREIGHT_DAYS))
        earned = {
            "limit_fen": limit.amount_fen,
            "policy": limit.policy,
            "steps": [{"code": one.code, "amount_fen": one.amount_fen} for one in limit.steps],
        }
        return {
            "asked_limit_fen": asked_fen,
            "earned_limit_fen": limit.amount_fen,
            "lender_related": standing.related.find_relation(own, party_name(lender)) is not None,
            "open_lines": len(lines),
            "borrower_overdue_days": known.overdue_days,
            "group_overdue_days": standing.group_overdue_days,
            "warned_hard": any(one.action in (Action.FREEZE, Action.COLLECT) for one in warned),
            "delivered_trips": known.delivered_trips,
            "trade_cycles": len(freight.rings_of(own)),
            "net_assets_known": standing.net_assets_known,
            "borrower_room_fen": rooms.get("borrower_room"),
            "group_room_fen": rooms.get("group_room"),
            "online_cap_fen": law.parameter("online_business_cap_fen", date_of(today)),
        }, earned


_AGAINST: Final = frozenset({"refuse", "missing", "error"})
