"""The loan, to the fen: consents, decision, interest and sharing from the events, and the books beside them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rfc8785

from chain.bindings import events, structs
from chain.clock import beijing_day
from chain.errors import YundanError
from chain.ids import AdvanceId, Hash32, TripId
from chain.typed_data import struct_hash
from finance.advance import SOLIDITY_ORDER, AdvanceEvent, AdvanceState, EventKind, replay
from finance.audit import token_account
from finance.day_end import midnight_after
from finance.ledger import Account, Booking, Entry, Line, lines_of, trial_balance
from finance.risk import read_forest, redecide
from finance.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from api.verifier.report import Section
    from api.verifier.story import Happened, Story
    from api.verifier.waybills import Chain
    from finance.advance import Advance
    from finance.waterfall import Shares

BANK = "0x" + "00" * 20

_NOT_STANDING = frozenset(
    {AdvanceState.NONE, AdvanceState.REQUESTED, AdvanceState.DECLINED, AdvanceState.VOIDED}
)


@dataclass(frozen=True, slots=True)
class Loan:
    """An advance of the pack, replayed.

    Attributes:
        steps: each repayment's event with the shares that the replay gives it.
    """

    id: AdvanceId
    request: Any
    line: Any
    terms: Terms
    happened: Sequence[AdvanceEvent]
    steps: Sequence[tuple[Happened, Shares]]
    advance: Advance

    @property
    def is_released(self) -> bool:
        """True once money moved or was granted."""
        return self.advance.rates is not None

    @property
    def is_standing(self) -> bool:
        """True from the approval on, unless it was voided: no other advance takes the trip then."""
        return self.advance.state not in _NOT_STANDING

    def advance_record(self) -> dict[str, int]:
        """What FreightAdvance must hold; what the request fixed is in its id."""
        return {"state": SOLIDITY_ORDER.index(self.advance.state)}

    def loan_record(self) -> dict[str, int]:
        """What CreditFacility must hold: every numerator exact, until the payment that closes the loan leaves them."""
        held, account = self.advance, self.advance.accumulator
        record = {
            "outstanding": held.outstanding,
            "drawn": held.drawn,
            "feePaid": held.fee_paid,
            "penaltyPaid": held.penalty_paid,
            "interestPaid": held.interest_paid,
            "startDay": held.start_day,
            "dueDay": held.due_day,
            "closed": int(held.state is AdvanceState.REPAID),
        }
        if held.state is not AdvanceState.REPAID:
            record |= {
                "interestNum": account.interest_num,
                "penaltyNum": account.penalty_num,
                "ceilingNum": account.ceiling_num,
                "accruedTo": account.accrued_to,
            }
        return record


def check_advances(section: Section, story: Story, chain: Chain, trip: TripId) -> dict[str, Loan]:
    """Every advance on the trip: what was signed, what was released, what each repayment did."""
    lines = {struct_hash(one.form): one.form for one in story.forms(structs.CreditLine)}
    loans: dict[str, Loan] = {}
    for signed in story.forms(structs.AdvanceRequest):
        request: Any = signed.form
        advance = AdvanceId(struct_hash(request))
        line: Any = lines.get(request.line)
        if request.trip != trip:
            continue  # another trip's, in a transaction that also concerns this one
        if line is None:
            section.red("advance.line", advance, "the terms of its credit line are missing")
            continue
        _check_consents(section, story, chain, advance, request)
        loans[advance] = _replayed(section, story, advance, request, line)
    for one in story.of(events.AdvanceRequested):
        if one.event.trip == trip and one.event.advance not in loans:
            section.red("advance.request", one.event.advance, "its signed request is missing")
    for one in story.of(events.FreightSettled):
        event = one.event
        out = event.to_loans + event.to_children + event.to_performer + event.refunded
        section.require(
            event.received == out,
            "settlement",
            event.waybill,
            f"{event.received} fen came in and went out",
            f"{event.received} fen came in, {out} went out",
        )
    return loans


def _covered_by_rule(story: Story, advance: AdvanceId, request: structs.AdvanceRequest) -> bool:
    """Whether the line's rule, signed by its lender, covered the advance when it was approved."""
    approved = next(one for one in story.of(events.AdvanceApproved) if one.event.advance == advance)
    said: list[Any] = [one.form for one in story.forms(structs.Acknowledgement)]
    debtors = {form.debtor for form in said if form.advance == advance}
    rule: Any = None
    for one in story.forms(structs.ApprovalRule):
        form: Any = one.form
        if form.line == request.line and one.place < approved.place:
            rule = form  # a later one replaces it whole
    return rule is not None and bool(
        request.principal <= rule.most
        and approved.at.timestamp() <= rule.until
        and rule.debtor in {0, *debtors}
    )


def _check_consents(
    section: Section,
    story: Story,
    chain: Chain,
    advance: AdvanceId,
    request: structs.AdvanceRequest,
) -> None:
    payees = request.payees
    driver = chain.leaf.form.performer if chain.leaf is not None else payees[0].party
    section.require(
        payees[0].party == driver and sum(payee.amount for payee in payees) == request.principal,
        "advance.payees",
        advance,
        f"{len(payees)} payees, the driver first, come to {request.principal} fen",
        "the driver is not first, or the payees do not come to the principal",
    )
    for one in story.of(events.PayeePaid):
        if one.event.advance != advance:
            continue
        mine = [payee for payee in payees if payee.party == one.event.payee]
        queued = [
            other.event
            for other in story.in_transaction(one.transaction)
            if isinstance(other.event, events.PayoutQueued)
            and other.event.payout == one.event.payout
        ]
        section.require(
            len(mine) == 1
            and one.event.amount <= mine[0].amount
            and [(q.party, q.account, q.amount) for q in queued]
            == [(mine[0].party, mine[0].account, one.event.amount)],
            "advance.paid",
            f"party {one.event.payee}",
            f"{one.event.amount} fen to the account that borrower, payee and lender signed",
            "paid to another party, account or amount than was signed",
        )
    said = {
        type(one.form).__name__
        for one in story.signed
        if getattr(one.form, "advance", "") == advance
    }
    if any(one.event.advance == advance for one in story.of(events.AdvanceApproved)):
        missing = {"Acknowledgement", "PayeeConsent", "Approval"} - said
        if "Approval" in missing and _covered_by_rule(story, advance, request):
            missing.remove("Approval")
        section.require(
            not missing,
            "advance.consents",
            advance,
            "debtor, payees and lender have signed",
            f"approved, but these forms are missing: {', '.join(sorted(missing))}",
        )


_SIMPLE = {
    events.AdvanceRequested: (EventKind.REQUESTED, "principal"),
    events.AdvanceApproved: (EventKind.APPROVED, "principal"),
    events.AdvanceDeclined: (EventKind.DECLINED, ""),
    events.AdvanceReleasable: (EventKind.RELEASABLE, ""),
    events.AdvanceVoided: (EventKind.VOIDED, ""),
    events.AdvanceReleased: (EventKind.RELEASED, "amount"),
    events.PayeePaid: (EventKind.DRAWN, "amount"),
    events.AdvanceDefaulted: (EventKind.DEFAULTED, ""),
    events.AdvanceWrittenOff: (EventKind.WRITTEN_OFF, ""),
}


def _as_event(one: Happened) -> AdvanceEvent | None:
    """An event of the chain as finance reads it."""
    event = one.event
    amount = day = 0
    if isinstance(event, events.AdvanceRepaid):
        paid = event.fee + event.penalty + event.interest + event.principal
        if not paid and not event.waived:
            return None
        kind, amount = (EventKind.PAID, paid) if paid else (EventKind.WAIVED, event.waived)
    elif isinstance(event, events.InterestDeferred):
        kind, day = EventKind.DEFERRED, event.start_day
    elif isinstance(event, events.AdvanceExtended):
        kind, day = EventKind.EXTENDED, event.due_day
    elif type(event) in _SIMPLE:
        kind, name = _SIMPLE[type(event)]
        amount = getattr(event, name) if name else 0
    else:
        return None
    return AdvanceEvent(
        id=_name(one),
        kind=kind,
        at=one.at,
        known=one.at,
        amount=amount,
        day=day,
        position=(one.place[0], one.place[1] * 100_000 + one.place[2]),
    )


def _name(one: Happened) -> str:
    return f"{one.place[0]}:{one.place[1]}:{one.place[2]}"


def _replayed(section: Section, story: Story, advance: AdvanceId, request: Any, line: Any) -> Loan:
    terms = Terms(
        rate_ppm=line.rate_ppm,
        penalty_ppm=line.penalty_ppm,
        ceiling_ppm=line.ceiling_ppm,
        fee_bps=line.fee_bps,
        tenor_days=line.tenor_days,
        grace_days=line.grace_days,
    )
    mine = [one for one in story.events if getattr(one.event, "advance", None) == advance]
    happened = [event for event in map(_as_event, mine) if event is not None]
    held = replay(advance, terms, happened)
    for event, reason in held.set_aside:
        section.red("advance.moves", advance, f"event {event} cannot count: {reason}")
    by_id = {step.event: step for step in held.steps}
    steps: list[tuple[Happened, Shares]] = []
    for one in mine:
        event = one.event
        if isinstance(event, events.AdvanceReleased):
            due_day = beijing_day(one.at) + terms.tenor_days
            section.require(
                (event.start_day, event.due_day) == (beijing_day(one.at), due_day),
                "advance.days",
                advance,
                f"interest from Beijing day {event.start_day}, due on {event.due_day}",
                "start or due day are not those of the terms",
            )
        step = by_id.get(_name(one))
        if not isinstance(event, events.AdvanceRepaid) or step is None:
            continue
        steps.append((one, step.shares))
        shares = step.shares
        got = (event.fee, event.penalty, event.interest, event.principal)
        due = (shares.fee, shares.penalty, shares.interest, shares.principal)
        section.require(
            step.kind is EventKind.WAIVED
            or (got == due and not shares.residue and event.waived == _waived(held, step.state)),
            "advance.repaid",
            f"block {one.place[0]}",
            f"fee, penalty, interest, principal {got} fen, recomputed to the fen",
            f"the chain took {got} fen, the terms give {due}",
        )
    if held.rates is not None:
        section.green(
            "advance.replay",
            advance,
            f"{held.state.value}: drawn {held.drawn}, outstanding {held.outstanding} fen",
        )
    return Loan(advance, request, line, terms, happened, steps, held)


def _waived(held: Advance, state: AdvanceState) -> int:
    """What the ceiling kept away, said by the payment that closes a loan."""
    closes = state is AdvanceState.REPAID and held.rates is not None
    return held.accumulator.waived_down(held.rates) if closes and held.rates is not None else 0


def check_decisions(
    section: Section, loans: Mapping[str, Loan], records: Any, forests: Any
) -> None:
    """Each decision replays to the same bytes, whose hash the borrower's request carries."""
    by_hash: dict[str, Any] = {}
    for record in records or ():
        by_hash["0x" + hashlib.sha256(rfc8785.dumps(record)).hexdigest()] = record
    rules = {}
    for document in forests or ():
        forest = read_forest(document)
        rules[forest.hash] = forest
    wanted = {loan.request.decision for loan in loans.values()}
    for odd in sorted(by_hash.keys() - wanted):
        section.red("decision", odd, "a decision that no request carries")
    for advance, loan in loans.items():
        record = by_hash.get(loan.request.decision)
        if record is None:
            section.unknown("decision", advance, "the decision's record is not in the pack")
            continue
        found = rules.get(record["forest"]["hash"])
        if found is None and rules:
            section.red("decision.rules", advance, "the rules given are not those it was made by")
            continue
        if found is None:
            section.unknown("decision.rules", advance, "the rules it was made by are not given")
            continue
        again = redecide(found, record)
        section.require(
            again.hash == loan.request.decision and record["asked_fen"] == loan.request.principal,
            "decision",
            advance,
            f"{again.verdict.value} again, byte for byte, by {found.id} {found.version}",
            "the rules do not give this decision on these inputs",
        )


# -- the books -------------------------------------------------------------------------------------


def read_entries(given: Any) -> list[Entry]:
    """Journal entries of the pack.

    Raises:
        UnbalancedEntryError, InvalidAmountError: an entry that cannot exist.
    """
    return [
        Entry(
            id=one["id"],
            book=one["book"],
            kind=one["kind"],
            day=one["day"],
            at=dt.datetime.fromisoformat(one["at"]),
            known=dt.datetime.fromisoformat(one["known"]),
            lines=tuple(Line(account, amount, about) for account, amount, about in one["lines"]),
            source=one["source"],
            reverses=one["reverses"],
        )
        for one in given
    ]


def check_ledger(section: Section, story: Story, loans: Mapping[str, Loan], given: Any) -> None:
    """The books say of these loans what the chain says, and every entry balances."""
    if given is None:
        section.unknown("ledger", "", "the journal is not in the pack")
        return
    try:
        entries = read_entries(given)
    except YundanError as error:
        section.red("ledger.entry", str(error.facts.get("entry", "")), str(error))
        return
    section.require(
        len({entry.id for entry in entries}) == len(entries),
        "ledger.ids",
        f"{len(entries)} entries",
        "each entry stands once",
        "an entry stands twice",
    )
    for book in sorted({entry.book for entry in entries}):
        balance = trial_balance(entries, book)
        section.require(
            balance.total == 0,
            "ledger.balance",
            book,
            f"debits equal credits over {len(balance.balances)} accounts",
            f"debits and credits differ by {balance.total} fen",
        )
    mine = [entry for entry in entries if _concerns(entry, loans)]
    for entry in entries:
        if entry not in mine:
            reason = "of another trip, booked in a transaction that also concerns this one"
            section.unknown("ledger.other", f"{entry.kind} {entry.id[:14]}…", reason)
    expected = _expected_entries(story, loans)
    booked = Counter(_as_key(entry) for entry in mine if entry.kind != Booking.ACCRUAL)
    for (kind, source, lines), count in (expected - booked).items():
        about = f"{kind} {source[:14]}…"
        section.red("ledger.missing", about, f"{count} x {_text(lines)} is not booked")
    for (kind, source, lines), count in (booked - expected).items():
        about = f"{kind} {source[:14]}…"
        section.red("ledger.unfounded", about, f"{count} x {_text(lines)} has no such event")
    if expected and expected == booked:
        section.green("ledger.events", "", f"{expected.total()} entries, each with its event")
    for loan in loans.values():
        _check_accruals(section, loan, mine)
    times = {one.transaction: one.at for one in story.events}
    for entry in mine:
        if entry.kind == Booking.ACCRUAL:
            right = not entry.source and entry.at == midnight_after(entry.day)
        else:
            right = times.get(Hash32(entry.source)) == entry.at
            right = right and entry.day == beijing_day(entry.at)
        if not right:
            section.red("ledger.date", entry.id, "its date or source is not that of its event")


_Key = tuple[str, str, tuple[tuple[str, int], ...]]


def _concerns(entry: Entry, loans: Mapping[str, Loan]) -> bool:
    own = {str(one) for one in loans} | {loan.request.line for loan in loans.values()}
    return {line.about for line in entry.lines} <= own | {""}


def _as_key(entry: Entry) -> _Key:
    lines = tuple(sorted((line.account, line.amount) for line in entry.lines))
    return (entry.kind, entry.source, lines)


def _text(lines: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{account} {amount}" for account, amount in lines)


def _expected_entries(story: Story, loans: Mapping[str, Loan]) -> Counter[_Key]:
    found: Counter[_Key] = Counter()
    lines = {loan.request.line for loan in loans.values()}
    written_off = {one.event.advance: one.place for one in story.of(events.AdvanceWrittenOff)}

    def add(kind: str, one: Happened, sides: Sequence[Line]) -> None:
        key = tuple(sorted((side.account, side.amount) for side in sides))
        found[kind, one.transaction, key] += 1

    for one in story.events:
        event = one.event
        match event:
            case events.LineReserved() if event.line in lines:
                add(Booking.RESERVE, one, lines_of(Booking.RESERVE, {"principal": event.amount}))
            case events.LineReserveVoided() if event.line in lines:
                freed = lines_of(Booking.RESERVE_VOID, {"principal": event.amount})
                add(Booking.RESERVE_VOID, one, freed)
            case events.PayeePaid() if event.advance in loans:
                paid = lines_of(Booking.DISBURSEMENT, {"principal": event.amount})
                add(Booking.DISBURSEMENT, one, paid)
            case events.AdvanceRepaid() if event.advance in loans:
                names = ("fee", "penalty", "interest", "principal")
                shares = {name: getattr(event, name) for name in names}
                late = written_off.get(event.advance, one.place) < one.place
                kind = Booking.RECOVERY_AFTER_CHARGE_OFF if late else Booking.REPAYMENT
                if any(shares.values()):
                    add(kind, one, lines_of(kind, shares))
                elif event.waived:
                    add(Booking.WAIVER, one, _waiver(loans[event.advance], one))
            case events.AdvanceWrittenOff() if event.advance in loans:
                add(Booking.CHARGE_OFF, one, _charge_off(loans[event.advance], one))
            case events.Transfer() if event.value and event.from_ != event.to:
                add("TOKEN", one, _token_lines(event))
            case _:
                pass
    return found


def _waiver(loan: Loan, one: Happened) -> Sequence[Line]:
    """What the lender let go, shared in the order of a payment."""
    (shares,) = (shares for step, shares in loan.steps if step.place == one.place)
    let_go = {"fee": shares.fee, "penalty": shares.penalty, "interest": shares.interest}
    return lines_of(Booking.WAIVER, let_go)


def _charge_off(loan: Loan, one: Happened) -> Sequence[Line]:
    """The principal written off, and what was charged and not paid by that day."""
    held = replay(loan.id, loan.terms, loan.happened, until=one.at)
    due = held.due_on(beijing_day(one.at))
    lost = {name.value: fen for name, fen in due.items()} | {"principal": one.event.principal}
    return lines_of(Booking.CHARGE_OFF, lost)


def _token_lines(event: events.Transfer) -> tuple[Line, Line]:
    return (
        Line(_holder(event.from_), event.value),
        Line(_holder(event.to), -event.value),
    )


def _holder(account: str) -> str:
    return Account.BANK.value if account == BANK else token_account(account)


def _check_accruals(section: Section, loan: Loan, entries: Sequence[Entry]) -> None:
    """What was booked as income up to a day is what the terms charge up to that day."""
    mine = [
        entry
        for entry in entries
        if entry.kind == Booking.ACCRUAL and any(line.about == loan.id for line in entry.lines)
    ]
    booked: Counter[str] = Counter()
    for entry in sorted(mine, key=lambda entry: (entry.at, entry.id)):
        for line in entry.lines:
            if line.account.endswith("_receivable"):
                booked[line.account.removesuffix("_receivable")] += line.amount
        held = replay(loan.id, loan.terms, loan.happened, until=entry.at)
        charged = held.charges_on(entry.day + 1)
        due = {"fee": charged.fee, "penalty": charged.penalty, "interest": charged.interest}
        section.require(
            {name: booked[name] for name in due} == due,
            "ledger.accrual",
            f"Beijing day {entry.day}",
            f"fee, penalty, interest {tuple(due.values())} fen charged and booked",
            f"booked {dict(booked)}, the terms charge {due}",
        )
