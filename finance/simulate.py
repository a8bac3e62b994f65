"""A loan's life on paper: terms and dated payments in, every day's debt, class and cost out.

The form of a case stands in ``finance/README.md``; reading it needs no database and no chain.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

from chain.clock import BEIJING_OFFSET_S, beijing_day
from chain.money import fen
from finance.accrual import DayCount, Rounding, date_of, day_number
from finance.advance import OWING, AdvanceEvent, EventKind, replay
from finance.classification import FiveTier, classify, facts_of
from finance.cost import all_in_ppm_up, promised_ppm_up
from finance.errors import CaseError
from finance.terms import MAX_TENOR_DAYS, Terms
from finance.waterfall import CONTRACT_ORDER, Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from finance.advance import Advance

_TERMS_FIELDS: Final = (
    "rate_ppm", "penalty_ppm", "ceiling_ppm", "fee_bps", "tenor_days", "grace_days",
)  # fmt: skip
_KINDS: Final = {
    "payment": EventKind.PAID,
    "waive": EventKind.WAIVED,
    "defer": EventKind.DEFERRED,
    "extend": EventKind.EXTENDED,
    "restructure": EventKind.RESTRUCTURED,
    "default": EventKind.DEFAULTED,
    "write_off": EventKind.WRITTEN_OFF,
    "reverse": EventKind.REVERSED,
}
MAX_DAYS: Final = 2 * MAX_TENOR_DAYS
MAX_EVENTS: Final = 10_000


CURRENCY: Final = "CNY"


def read_case(text: str) -> dict[str, Any]:
    """A case from JSON text: one object, no key twice.

    Raises:
        CaseError: the text is no such JSON.
    """
    try:
        case = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise CaseError("the JSON is nested too deeply", field="case") from None
    except ValueError as problem:
        raise CaseError(f"not JSON: {problem}", field="case") from None
    if not isinstance(case, dict):
        raise CaseError("a case is one JSON object", field="case")
    return case


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CaseError(f"{twice} stands twice", field=twice)
    return row


def simulate(case: Mapping[str, Any]) -> dict[str, Any]:
    """Plays a case.

    Args:
        case: as described in ``finance/README.md``.

    Returns:
        JSON values: the terms read, a row a day, a row an event, and the end.

    Raises:
        CaseError: the case has not the form, a date does not exist, an amount is not whole fen.
        FinanceError: the terms contradict themselves, or an event id is used twice.
    """
    known = {"terms", "principal_fen", "released_on", "events", "until", "currency"}
    _refuse_unknown(case, known, "")
    if case.get("currency", CURRENCY) != CURRENCY:
        raise CaseError(
            f"the only currency is {CURRENCY}; amounts are fen",
            field="currency",
            given=str(case["currency"]),
        )
    terms = _read_terms(_need(case, "terms", dict))
    principal = _need_fen(case, "principal_fen")
    released_on = _need_date(case, "released_on")
    events = [*_opening(principal, released_on), *_read_events(case, terms)]
    last = max(beijing_day(event.at) for event in events)
    first = day_number(released_on)
    if first > day_number(dt.date.max) - 2 * MAX_DAYS:
        raise CaseError("released_on lies too far in the future", field="released_on")
    until = first + terms.tenor_days
    if case.get("until") is not None:
        until = day_number(_need_date(case, "until"))
    elif last > until:
        until = last
    if not first <= until <= first + MAX_DAYS:
        raise CaseError(
            f"until lies between the release and {MAX_DAYS} days after it", field="until"
        )
    days = _by_day("case", terms, events, first, until)
    seen = [event for event in events if beijing_day(event.at) <= until]
    final = replay("case", terms, seen)
    not_yet = max(0, final.start_day - first)  # days before a later start of interest
    principal_days = sum(row["principal_fen"] for row in days[not_yet : until - first])
    charges = days[-1]["charged_fen"]
    return {
        "terms": {name: getattr(terms, name) for name in _TERMS_FIELDS}
        | {
            "day_count": terms.day_count.value,
            "rounding": terms.rounding.value,
            "order": [component.value for component in terms.order],
        },
        "promised_yearly_cost_ppm": promised_ppm_up(terms),
        "due_on": date_of(final.due_day).isoformat(),
        "days": days,
        "events": [
            {
                "id": step.event,
                "kind": step.kind.value,
                "on": date_of(step.day).isoformat(),
                "fee_fen": step.shares.fee,
                "penalty_fen": step.shares.penalty,
                "interest_fen": step.shares.interest,
                "principal_fen": step.shares.principal,
                "residue_fen": step.shares.residue,
                "state": step.state.value,
            }
            for step in final.steps
        ],
        "refused": [{"id": event, "reason": reason} for event, reason in final.set_aside],
        "end": {
            "on": date_of(until).isoformat(),
            "state": final.state.value,
            "outstanding_fen": final.outstanding,
            **_due(final, until),
            "charged_fen": charges,
            "ceiling_fen": _ceiling(final, until),
            "above_ceiling_fen": _above_ceiling(final, until),
            "waived_fen": final.waived,
            "written_off_fen": final.written_off,
            "recovered_fen": final.recovered,
            "yearly_cost_ppm": all_in_ppm_up(charges, principal_days),
        },
    }


def _by_day(
    name: str, terms: Terms, events: list[AdvanceEvent], first: int, until: int
) -> list[dict[str, Any]]:
    """One row a day up to the day on which nothing is owed any more."""
    rows: list[dict[str, Any]] = []
    tier, clean = FiveTier.NORMAL, 0
    moments = sorted({beijing_day(event.at) for event in events})
    advance = None
    for day in range(first, until + 1):
        if advance is None or day in moments:
            advance = replay(name, terms, [e for e in events if beijing_day(e.at) <= day])
        late = advance.days_past_due(day)
        clean = 0 if late else clean + 1
        classified = classify(late, previous=tier, clean_days=clean, facts=facts_of(advance))
        tier = classified.tier
        rows.append(
            {
                "on": date_of(day).isoformat(),
                "state": advance.state.value,
                "principal_fen": advance.outstanding,
                **_due(advance, day),
                "charged_fen": advance.charges_on(day).total
                if advance.state in OWING
                else advance.fee_paid + advance.penalty_paid + advance.interest_paid,
                "days_past_due": late,
                "class": tier.word,
                "class_zh": tier.zh,
            }
        )
        if advance.state not in OWING:
            break
    return rows


def _due(advance: Advance, day: int) -> dict[str, int]:
    due = advance.due_on(day) if advance.state in OWING else dict.fromkeys(Component, 0)
    return {
        "fee_due_fen": due[Component.FEE],
        "penalty_due_fen": due[Component.PENALTY],
        "interest_due_fen": due[Component.INTEREST],
        "payoff_fen": sum(due.values()),
    }


def _ceiling(advance: Advance, day: int) -> int:
    if advance.rates is None:
        return 0
    return advance.accrued_to(day).ceiling_num // advance.rates.denominator


def _above_ceiling(advance: Advance, day: int) -> int:
    return 0 if advance.rates is None else advance.accrued_to(day).waived_down(advance.rates)


# -- reading --------------------------------------------------------------------------------------


def _read_terms(row: Mapping[str, Any]) -> Terms:
    _refuse_unknown(row, {*_TERMS_FIELDS, "day_count", "rounding", "order"}, "terms.")
    numbers = {}
    for name in _TERMS_FIELDS:
        if name in ("fee_bps", "grace_days", "penalty_ppm") and name not in row:
            continue
        numbers[name] = fen(row.get(name), field=f"terms.{name}")
    numbers.setdefault("penalty_ppm", numbers["rate_ppm"])
    try:
        asked = row.get("order", CONTRACT_ORDER)
        if not isinstance(asked, list | tuple):
            raise CaseError("order is a list of components", field="terms.order")
        order = tuple(Component(name) for name in asked)
        return Terms(
            **numbers,
            day_count=DayCount(row.get("day_count", DayCount.ACT_365F)),
            rounding=Rounding(row.get("rounding", Rounding.FLOOR)),
            order=order,
        )
    except ValueError as problem:
        raise CaseError(f"terms: {problem}", field="terms") from None


def _opening(principal: int, released_on: dt.date) -> list[AdvanceEvent]:
    at = _instant(released_on)
    return [
        AdvanceEvent(id=kind.value, kind=kind, at=at, known=at, amount=principal)
        for kind in (EventKind.REQUESTED, EventKind.APPROVED, EventKind.RELEASED, EventKind.DRAWN)
    ]


def _read_events(case: Mapping[str, Any], terms: Terms) -> list[AdvanceEvent]:
    rows = case.get("events", [])
    if not isinstance(rows, list) or len(rows) > MAX_EVENTS:
        raise CaseError(f"events is a list of at most {MAX_EVENTS}", field="events")
    return [_read_event(row, index, terms) for index, row in enumerate(rows)]


def _read_event(row: Any, index: int, terms: Terms) -> AdvanceEvent:
    where = f"events[{index}]."
    if not isinstance(row, dict):
        raise CaseError("an event is an object", field=where[:-1])
    known = {"id", "type", "on", "known_on", "amount_fen", "to", "target", "terms"}
    _refuse_unknown(row, known, where)
    if not isinstance(row.get("type"), str) or row["type"] not in _KINDS:
        raise CaseError(
            f"type is one of {', '.join(_KINDS)}", field=f"{where}type", given=str(row.get("type"))
        )
    kind = _KINDS[row["type"]]
    at = _instant(_need_date(row, "on", where))
    known_at = _instant(_need_date(row, "known_on", where)) if "known_on" in row else at
    changed = None
    if kind is EventKind.RESTRUCTURED:
        changed = _read_terms(
            {
                "rate_ppm": terms.rate_ppm,
                "penalty_ppm": terms.penalty_ppm,
                "ceiling_ppm": terms.ceiling_ppm,
                "tenor_days": terms.tenor_days,
                "grace_days": terms.grace_days,
            }
            | _need(row, "terms", dict, where)
        )
    name = row.get("id", f"{row['type']}-{index}")
    if not isinstance(name, str) or not name:
        raise CaseError("an id is text", field=f"{where}id")
    moved = kind in (EventKind.DEFERRED, EventKind.EXTENDED, EventKind.RESTRUCTURED)
    return AdvanceEvent(
        id=name,
        kind=kind,
        at=at,
        known=known_at,
        amount=_need_fen(row, "amount_fen", where)
        if kind in (EventKind.PAID, EventKind.WAIVED)
        else 0,
        day=day_number(_need_date(row, "to", where)) if moved else 0,
        terms=changed,
        target=_need(row, "target", str, where) if kind is EventKind.REVERSED else "",
    )


def _instant(date: dt.date) -> dt.datetime:
    """Noon in Beijing, so that the Beijing day is the date."""
    noon = dt.datetime.combine(date, dt.time(12), dt.UTC)
    return noon - dt.timedelta(seconds=BEIJING_OFFSET_S)


def _need(row: Mapping[str, Any], key: str, kind: type, where: str = "") -> Any:
    value = row.get(key)
    if not isinstance(value, kind):
        raise CaseError(f"{where}{key} must be {kind.__name__}", field=f"{where}{key}")
    return value


def _need_fen(row: Mapping[str, Any], key: str, where: str = "") -> int:
    amount = fen(row.get(key), field=f"{where}{key}")
    if not amount:
        raise CaseError(f"{where}{key} must be above zero", field=f"{where}{key}")
    return amount


def _need_date(row: Mapping[str, Any], key: str, where: str = "") -> dt.date:
    text = row.get(key)
    try:
        return dt.datetime.strptime(str(text), "%Y-%m-%d").date()  # noqa: DTZ007  a date has no zone
    except ValueError:
        raise CaseError(
            f"{where}{key} must be a date that exists, YYYY-MM-DD",
            field=f"{where}{key}",
            given=str(text),
        ) from None


def _refuse_unknown(row: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(row) - known)
    if unknown:
        raise CaseError(
            f"unknown field {where}{unknown[0]}", field=f"{where}{unknown[0]}", known=sorted(known)
        )
