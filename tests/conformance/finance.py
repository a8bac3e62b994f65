"""How each kind of finance case reads, and which function of the product answers it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation, localcontext
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

from finance import accrual, classification, credit, law, ledger, waterfall
from finance.accrual import PPM, DayCount, Rounding
from finance.errors import FinanceError, HeadroomError, InvalidDateError
from finance.waterfall import Component

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Word = TypeVar("Word", bound=StrEnum)

SKIPPED = {
    "amortised_schedule": "a freight advance is repaid at once, it has no instalment schedule",
    "annuity": "a freight advance is repaid at once, it has no level instalment",
    "bps_amount": "closing and origination fees of pooled loans; ours is terms.fee_down, paid at the end",
    "fixed_schedule": "a freight advance is repaid at once, it has no instalment schedule",
    "front_loading_fee": "nothing is deducted at release (Civil Code 670)",
    "installment": "a freight advance is repaid at once, it has no level instalment",
    "late_fee_30_360": "no late fee on a commitment; after grace the penalty rate stands in place",
    "linear_writedown": "loss follows the five-tier class, not a line over days",
    "loss_cover": "no tranche covers another; the lender bears his own loan",
    "open_term_breakdown": "interest runs by Beijing calendar days, never by the second",
    "principal_due_periods": "no minimum principal due before the due day",
    "profit_split": "no pool shares profit; a lender's income is his own",
    "prorata_fee": "no fee grows with time beside interest",
    "tranche_split": "no tranches",
    "whole_day_late": "a late premium on top of the rate by the second; ours stands in its place",
}

ERROR_CODES = {
    HeadroomError: "CREDIT_LIMIT_EXCEEDED",
    InvalidDateError: "START_DATE_LATER_THAN_END_DATE",
}


def run_case(case: Mapping[str, Any]) -> dict[str, Any]:
    """What the product answers to a case; a refusal becomes ``{"error": CODE, ...}``."""
    try:
        return RUNNERS[case["kind"]](case["given"])
    except FinanceError as refusal:
        return {"error": ERROR_CODES.get(type(refusal), refusal.code), "message": str(refusal)}
    except (KeyError, TypeError, ValueError, ArithmeticError) as problem:
        return {"error": "case_unreadable", "message": f"{type(problem).__name__}: {problem}"}


def matches(got: Mapping[str, Any], expect: Mapping[str, Any]) -> bool:
    """True when every key of ``expect`` is equal; amounts as text are equal as numbers."""
    return all(
        key in got
        and (_same_sum(got[key], want) if key == "year_fraction_parts" else _equal(got[key], want))
        for key, want in expect.items()
    )


def _same_sum(got: Any, want: Any) -> bool:
    """Parts [days, basis] are there to be added: equal when each basis has the same days."""
    return _days_by_basis(got) == _days_by_basis(want)


def _days_by_basis(parts: Any) -> dict[int, int]:
    days: dict[int, int] = {}
    for number, basis in parts:
        days[int(basis)] = days.get(int(basis), 0) + int(number)
    return {basis: number for basis, number in days.items() if number}


def _equal(got: Any, want: Any) -> bool:
    if want is True and isinstance(got, str):
        return bool(got)  # `"error": true` asks only that the product refuses
    if isinstance(got, bool) is not isinstance(want, bool):
        return False
    if isinstance(got, dict) and isinstance(want, dict):
        return got.keys() == want.keys() and all(_equal(got[key], want[key]) for key in want)
    if isinstance(got, list | tuple) and isinstance(want, list | tuple):
        return len(got) == len(want) and all(map(_equal, got, want))
    if isinstance(got, str) and isinstance(want, str) and got != want:
        try:
            return Decimal(got) == Decimal(want)
        except InvalidOperation:
            return False
    return bool(got == want)


# -- reading and writing amounts, never through floats ---------------------------------------------


def _exact(text: Any) -> Fraction:
    if isinstance(text, float):
        raise TypeError("an amount is text or a whole number, never a float")
    return Fraction(Decimal(str(text)))


def _cents(text: Any, scale: int = 2) -> int:
    value = _exact(text) * 10**scale
    if value.denominator != 1:
        raise ValueError(f"more than {scale} decimals: {text}")
    return int(value)


def _scale_of(*texts: Any) -> int:
    """How many decimals a case's amounts need, two at least: 0.001 is an amount of some currencies."""
    return max(2, *(-int(Decimal(str(text)).as_tuple().exponent) for text in texts))


def _text(amount: int, scale: int = 2) -> str:
    with localcontext(prec=200):  # whole numbers of any length, as a contract's uint256 may be
        return f"{Decimal(amount).scaleb(-scale):.{max(0, scale)}f}"


def _word(kind: type[Word], text: Any) -> Word:
    """A named choice, however it is spelled: ``half-even`` is HALF_EVEN."""
    try:
        return kind(text)
    except ValueError:
        wanted = str(text).strip().upper().replace("-", "_").replace(" ", "_")
        for one in kind:
            if one.value.upper().replace("-", "_") == wanted:
                return one
        raise


def _date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _instant(text: str | None) -> dt.datetime | None:
    if text is None:
        return None
    at = dt.datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


# -- interest -------------------------------------------------------------------------------------


def _day_count(given: Mapping[str, Any]) -> dict[str, Any]:
    convention = _word(DayCount, given["convention"])
    start, end = _date(given["start"]), _date(given["end"])
    parts = accrual.year_fraction_parts(convention, start, end)
    return {
        "days": accrual.count_days(convention, start, end),
        "year_fraction_parts": [list(part) for part in parts],
    }


def _share_of_year(row: Mapping[str, Any], given: Mapping[str, Any]) -> Fraction:
    """A stretch's share of a year: as a fraction, as days of a basis, or between two dates."""
    if "fraction" in row:
        return Fraction(*(int(part) for part in row["fraction"]))
    if "days" in row:
        return Fraction(int(row["days"]), int(row.get("basis", given.get("basis", 365))))
    convention = _word(DayCount, row.get("convention", given.get("convention", "ACT/365F")))
    return accrual.year_fraction(convention, _date(row["start"]), _date(row["end"]))


def _interest(given: Mapping[str, Any]) -> tuple[int, int]:
    """Interest over every stretch, and its decimals; one stretch may stand in the case itself."""
    scale = int(given["scale"])
    segments = [
        (
            _exact(row["principal"])
            * Fraction(10) ** scale
            * _exact(row.get("annual_rate", given.get("annual_rate"))),
            _share_of_year(row, given),
        )
        for row in given.get("segments") or [given]
    ]
    amount = accrual.segmented_interest(
        segments,
        Fraction(1),  # each stretch already carries its own rate
        _word(Rounding, given["rounding"]),
        round_each_segment=bool(given.get("round_each_segment", False)),
    )
    return amount, scale


def _only_interest(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"interest": _text(*_interest(given))}


def _early_payoff(given: Mapping[str, Any]) -> dict[str, Any]:
    interest, scale = _interest({"principal": given["outstanding_principal"]} | dict(given))
    payoff = _exact(given["outstanding_principal"]) * Fraction(10) ** scale + interest
    return {
        "interest": _text(interest, scale),
        "payoff": _text(accrual.rounded(payoff, _word(Rounding, given["rounding"])), scale),
    }


def _penal_interest(given: Mapping[str, Any]) -> dict[str, Any]:
    scale = int(given["scale"])
    penalty = accrual.penal_interest(
        _exact(given["base"]) * Fraction(10) ** scale,
        _exact(given["annual_rate"]),
        days_overdue=int(given["days_overdue"]),
        grace_days=int(given.get("grace_days", 0)),
        basis_days=int(given.get("basis", 365)),
        rounding=_word(Rounding, given["rounding"]),
    )
    return {"penalty": _text(penalty, scale)}


def _day_yield_bps(given: Mapping[str, Any]) -> dict[str, Any]:
    value = accrual.simple_interest_down(
        int(given["principal"]), given["rate_bps"] * 100, given["days"], given["year_days"]
    )
    return {"value": str(value)}


# -- payments -------------------------------------------------------------------------------------


def _phases(rows: list[Mapping[str, Any]]) -> tuple[waterfall.Phase, ...]:
    return tuple(
        waterfall.Phase(
            waterfall.Scope(row["scope"]),
            tuple(Component(name) for name in row["order"]),
            waterfall.Iterate(row.get("iterate", "instalment_first")),
            waterfall.Pick(row.get("pick", "first_first")),
        )
        for row in rows
    )


def _replay(
    given: Mapping[str, Any], until: dt.date | None = None
) -> tuple[waterfall.Replay, Callable[[int], str]]:
    """The schedule after its payments, and how an amount of it is written."""
    scale = _scale_of(
        *(row.get(name.value, "0") for row in given["instalments"] for name in Component),
        *(row["amount"] for row in given["payments"]),
    )
    instalments = [
        waterfall.Instalment(
            _date(row["due"]), {name: _cents(row.get(name.value, "0"), scale) for name in Component}
        )
        for row in given["instalments"]
    ]
    payments = [
        waterfall.Payment(
            _date(row["date"]), _cents(row["amount"], scale), _phases(row.get("phases") or [])
        )
        for row in given["payments"]
        if until is None or _date(row["date"]) <= until
    ]
    played = waterfall.replay_payments(instalments, payments, _phases(given.get("phases") or []))
    return played, lambda amount: _text(amount, scale)


def _waterfall(given: Mapping[str, Any]) -> dict[str, Any]:
    played, text = _replay(given)
    return {
        "allocations": [
            {component.value: text(shares.of(component)) for component in Component}
            | {"unallocated": text(shares.residue)}
            for shares in played.shares
        ],
        "outstanding_by_instalment": [text(item.total) for item in played.instalments],
        "overpaid": text(played.overpaid),
    }


def _ranges(given: Mapping[str, Any]) -> list[tuple[str, int, int | None]]:
    return [(name, first, last) for name, first, last in given.get("ranges") or []]


def _delinquency(given: Mapping[str, Any]) -> dict[str, Any]:
    as_of = _date(given["as_of"])
    played, text = _replay(given, until=as_of)
    state = classification.delinquency(
        [(item.due, item.total) for item in played.instalments],
        as_of,
        grace_days=int(given.get("grace_days", 0)),
        pauses=[(_date(start), _date(end)) for start, end in given.get("pauses") or []],
        ranges=_ranges(given),
    )
    return {
        "delinquent_amount": text(state.amount),
        "delinquent_date": state.since.isoformat() if state.since else None,
        "delinquent_days": state.days,
        "past_due_days": state.past_due_days,
        "bucket_amounts": {name: text(amount) for name, amount in state.by_range.items()},
    }


def _dpd_class(given: Mapping[str, Any]) -> dict[str, Any]:
    first = given.get("first_unpaid_due")
    days = 0
    if first is not None:
        days = classification.days_past_due(
            _date(given["as_of"]),
            _date(first),
            count_due_day=bool(given.get("count_due_day", False)),
        )
    return {"days_past_due": days, "class": classification.range_of(days, _ranges(given))}


FINERACT_CHART = {
    ledger.Account.VAULT_FREE: "clearing",
    ledger.Account.VAULT_RESERVED: "clearing",
    ledger.Account.INTEREST_RECEIVABLE: "interest_fee_receivable",
    ledger.Account.FEE_RECEIVABLE: "interest_fee_receivable",
    ledger.Account.PENALTY_RECEIVABLE: "interest_fee_receivable",
    ledger.Account.FEE_CHARGED_OFF: "fee_charge_off",
    ledger.Account.INTEREST_CHARGED_OFF: "interest_income_charge_off",
}


def _journal(given: Mapping[str, Any]) -> dict[str, Any]:
    scale = _scale_of(*given["components"].values())
    lines = ledger.lines_of(
        ledger.Booking(given["event"]),
        {name: _cents(amount, scale) for name, amount in given["components"].items()},
        fraud=bool(given.get("fraud", False)),
        chart=FINERACT_CHART,
    )
    rows = [
        [line.account, "debit" if line.amount > 0 else "credit", _text(abs(line.amount), scale)]
        for line in lines
    ]
    return {"lines": sorted(rows)}


def _limit_check(given: Mapping[str, Any]) -> dict[str, Any]:
    used, scale = given.get("used", "0"), _scale_of(given["limit"], *given["requests"])
    scale = max(scale, _scale_of(used))
    line = credit.Line(limit=_cents(given["limit"], scale), drawn=_cents(used, scale))
    decisions = []
    for text in given["requests"]:
        try:
            line = line.reserve(_cents(text, scale))
        except FinanceError:
            decisions.append("REJECT")
        else:
            decisions.append("ACCEPT")
    return {"decisions": decisions}


def _receivable_credit(given: Mapping[str, Any]) -> dict[str, Any]:
    base = credit.BorrowingBase(
        int(given["credit_limit"]), int(given["advance_rate_bps"]), int(given.get("available", 0))
    )
    results: list[dict[str, Any]] = []
    for event in given["events"]:
        act = {"approve_receivable": base.approve_receivable, "draw": base.draw}[event["type"]]
        try:
            base = act(int(event["amount"]))
        except FinanceError as refusal:
            results.append({"error": ERROR_CODES.get(type(refusal), refusal.code)})
        else:
            results.append({"available": str(base.available)})
    return {"results": results}


# -- law ------------------------------------------------------------------------------------------


def _five_tier_floor(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"at_least": classification.five_tier_floor(given["days_past_due"]).zh}


def _ruled(ruled: law.Ruled) -> dict[str, Any]:
    return {"decision": ruled.decision.value, "reason": ruled.reason or None}


def _concentration(given: Mapping[str, Any]) -> dict[str, Any]:
    return _ruled(
        law.concentration(
            net_assets_fen=given["net_assets_last_year_end_fen"],
            borrower_balance_fen=given["borrower_balance_fen"],
            group_balance_fen=given["group_balance_fen"],
            new_loan_fen=given["new_loan_fen"],
            online=given.get("online", True),
            purpose=given.get("purpose", "business"),
        )
    )


def _rate_cap(given: Mapping[str, Any]) -> dict[str, Any]:
    return _ruled(
        law.rate_cap(
            contract_date=_date(given["contract_date"]),
            lpr_1y=_exact(given["lpr_1y"]),
            all_in=_exact(given["all_in_annual_rate"]),
        )
    )


def _statutory_order(given: Mapping[str, Any]) -> dict[str, Any]:
    shares = waterfall.share_payment(
        given["payment_fen"],
        {
            Component.FEE: given["costs_fen"],
            Component.INTEREST: given["interest_fen"],
            Component.PRINCIPAL: given["principal_fen"],
        },
        waterfall.STATUTORY_ORDER,
    )
    return {
        "costs_fen": shares.fee,
        "interest_fen": shares.interest,
        "principal_fen": shares.principal,
        "residue_fen": shares.residue,
    }


def _upfront_interest(given: Mapping[str, Any]) -> dict[str, Any]:
    principal = law.legal_principal_fen(
        given["contract_principal_fen"], given["deducted_interest_fen"]
    )
    return {"legal_principal_fen": principal}


def _prepay_interest(given: Mapping[str, Any]) -> dict[str, Any]:
    rate_ppm = _exact(given["annual_rate"]) * PPM
    if rate_ppm.denominator == 1:
        interest = accrual.simple_interest_down(
            given["principal_fen"], int(rate_ppm), given["actual_days"], given["basis_days"]
        )
    else:
        share = Fraction(given["actual_days"], given["basis_days"])
        interest = accrual.segmented_interest(
            [(Fraction(given["principal_fen"]), share)], rate_ppm / PPM, Rounding.FLOOR
        )
    return {"interest_fen": interest}


def _assignment_priority(given: Mapping[str, Any]) -> dict[str, Any]:
    found = law.assignment_priority(
        [
            law.Claim(
                claim["id"],
                claim["advance_fen"],
                _instant(claim.get("registered_at")),
                _instant(claim.get("notified_at")),
            )
            for claim in given["claims"]
        ],
        given["receivable_fen"],
    )
    return {"winner": found.winner or None, "split_fen": found.split_fen}


def _factoring_residue(given: Mapping[str, Any]) -> dict[str, Any]:
    residue = law.factoring_residue_fen(
        recourse=given["recourse"],
        collected_fen=given["collected_fen"],
        owed_fen=given["principal_interest_costs_fen"],
    )
    return {"to_assignor_fen": residue}


def _debtor_discharge(given: Mapping[str, Any]) -> dict[str, Any]:
    paid_at = _instant(given["paid_at"])
    if paid_at is None:
        raise ValueError("paid_at is missing")
    return {
        "discharged": law.debtor_discharged(
            notice_received_at=_instant(given.get("notice_received_at")),
            paid_at=paid_at,
            paid_to_assignor=given["paid_to"] == "ASSIGNOR",
        )
    }


def _sme_payment(given: Mapping[str, Any]) -> dict[str, Any]:
    found = law.sme_payment(
        buyer=given["buyer"],
        delivered_on=_date(given["delivered_on"]),
        agreed_term_days=given.get("agreed_term_days"),
        pay_when_paid_clause=bool(given.get("pay_when_paid_clause", False)),
    )
    return {
        "due_on": found.due_on.isoformat(),
        "term_valid": found.term_valid,
        "clause_valid": found.clause_valid,
    }


def _sme_late_interest(given: Mapping[str, Any]) -> dict[str, Any]:
    agreed = given.get("agreed_annual_rate")
    interest = law.sme_late_interest_down(
        given["amount_fen"],
        given["days_late"],
        None if agreed is None else _exact(agreed),
        lpr_1y=_exact(given.get("lpr_1y", "0")),
    )
    return {"interest_fen": interest}


RUNNERS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "day_count": _day_count,
    "simple_interest": _only_interest,
    "segmented_interest": _only_interest,
    "early_payoff": _early_payoff,
    "penal_interest": _penal_interest,
    "day_yield_bps": _day_yield_bps,
    "waterfall": _waterfall,
    "delinquency": _delinquency,
    "dpd_class": _dpd_class,
    "journal": _journal,
    "limit_check": _limit_check,
    "receivable_credit": _receivable_credit,
    "five_tier_floor": _five_tier_floor,
    "concentration": _concentration,
    "rate_cap": _rate_cap,
    "statutory_order": _statutory_order,
    "upfront_interest": _upfront_interest,
    "prepay_interest": _prepay_interest,
    "assignment_priority": _assignment_priority,
    "factoring_residue": _factoring_residue,
    "debtor_discharge": _debtor_discharge,
    "sme_payment": _sme_payment,
    "sme_late_interest": _sme_late_interest,
}
