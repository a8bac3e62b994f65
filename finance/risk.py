"""Decisions as data: a forest of rules, each with its reason in two languages, and a record that replays.

A rule states a predicate over typed inputs, what a hit does (REFUSE, REVIEW, CAP, SCORE, INFO) and what
missing data does. The verdict is the worst hard outcome; scores add up with a cap a tree, so that no
family of rules decides alone. A rule that fails to compute refuses: nothing is lent on a broken rule.
The same forest and inputs give the same bytes; their hash goes on chain with the request.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from chain.clock import beijing_day, rfc3339
from chain.money import JSON_MAX_FEN
from finance.accrual import date_of
from finance.errors import RuleError
from finance.expression import Expression, Type, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from finance.expression import Value


class Outcome(StrEnum):
    """What a hit does."""

    REFUSE = "REFUSE"
    REVIEW = "REVIEW"
    CAP = "CAP"
    SCORE = "SCORE"
    INFO = "INFO"


class OnMissing(StrEnum):
    """What missing data does; there is no silent default."""

    PASS = "pass"  # noqa: S105  no secret
    REVIEW = "review"
    REFUSE = "refuse"


class Stage(StrEnum):
    """When a rule is asked."""

    ADMIT = "admit"
    LIMIT = "limit"
    RELEASE = "release"
    MONITOR = "monitor"


class Answer(StrEnum):
    """What a rule found."""

    HIT = "hit"
    MISS = "miss"
    MISSING = "missing"
    ERROR = "error"


class Verdict(StrEnum):
    """The decision, worst last."""

    APPROVE = "APPROVE"
    REVIEW = "REVIEW"
    REFUSE = "REFUSE"


_WORST: Final = {verdict: index for index, verdict in enumerate(Verdict)}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as read from data and checked.

    Attributes:
        id: stable name; with ``version`` it names this text for ever.
        tree: the risk question it belongs to.
        stages: when it is asked.
        inputs: what it reads, typed.
        when: the predicate; true is a hit.
        cap: fen, for CAP; the smallest cap of all hits counts.
        score: points, for SCORE.
        missing: what missing data does.
        code: stable reason code; ``zh`` and ``en`` its text, ``law`` the article if regulatory.
        document: the rule as data, for the forest's hash.
    """

    id: str
    version: int
    owner: str
    tree: str
    stages: frozenset[Stage]
    effective_from: dt.date
    effective_to: dt.date | None
    inputs: Mapping[str, Type]
    when: Expression
    outcome: Outcome
    cap: Expression | None
    score: int
    missing: OnMissing
    code: str
    zh: str
    en: str
    law: str
    document: Mapping[str, Any]

    def in_force(self, on: dt.date) -> bool:
        """Whether it is asked on a date."""
        return self.effective_from <= on and (self.effective_to is None or on < self.effective_to)

    def ask(self, values: Mapping[str, Value]) -> tuple[Answer, int | None]:
        """What it finds, and the cap where a CAP rule hits."""
        try:
            found = self.when.evaluate(values)
            if found is None:
                return Answer.MISSING, None
            if not found:
                return Answer.MISS, None
            if self.cap is None:
                return Answer.HIT, None
            cap = self.cap.evaluate(values)
        except RuleError:
            return Answer.ERROR, None
        return (Answer.MISSING, None) if cap is None else (Answer.HIT, max(0, int(cap)))  # type: ignore[arg-type]  # the rule was read as one whose cap is a number


@dataclass(frozen=True, slots=True)
class Forest:
    """A set of rules with one name and version.

    Attributes:
        tree_caps: most points that one tree may add.
        review_at: points from which a person looks.
        refuse_at: points from which the answer is no; None where points alone never refuse.
        types: every input of every rule.
        hash: sha256 of the canonical forest, 0x and 64 hex digits.
    """

    id: str
    version: int
    tree_caps: Mapping[str, int]
    review_at: int
    refuse_at: int | None
    rules: tuple[Rule, ...]
    types: Mapping[str, Type]
    hash: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why, for people and for programs."""

    rule: str
    code: str
    effect: str
    zh: str
    en: str
    law: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What the forest says, and the bytes that prove it.

    Attributes:
        cap_fen: the smallest cap of the rules that hit, None without one.
        reasons: every effect, worst first.
        record: canonical JSON (RFC 8785) of forest hash, inputs and every rule's answer.
        hash: sha256 of the record, for ``AdvanceRequest.decision``.
    """

    verdict: Verdict
    score: int
    cap_fen: int | None
    reasons: tuple[Reason, ...]
    record: bytes
    hash: str

    @property
    def approved(self) -> bool:
        """True when no person needs to look and nothing refuses."""
        return self.verdict is Verdict.APPROVE


# -- reading rules --------------------------------------------------------------------------------


def read_forest(document: Mapping[str, Any]) -> Forest:
    """Reads a forest from data; refuses it whole if one rule is wrong or fails its own cases.

    Raises:
        RuleError: names the rule and the field.
    """
    trees = _need(document, "trees", dict, "forest")
    types: dict[str, Type] = {}
    rules: list[Rule] = []
    for row in _need(document, "rules", list, "forest"):
        rule = _read_rule(row)
        if any(rule.id == other.id for other in rules):
            raise RuleError(f"two rules are called {rule.id}", field="id", rule=rule.id)
        if rule.tree not in trees:
            raise RuleError(f"{rule.id}: no tree is called {rule.tree}", field="tree", rule=rule.id)
        for name, kind in rule.inputs.items():
            if types.setdefault(name, kind) is not kind:
                raise RuleError(
                    f"{rule.id}: {name} is {types[name]} in another rule",
                    field="inputs",
                    rule=rule.id,
                )
        _run_cases(rule, _need(row, "cases", list, rule.id))
        rules.append(rule)
    return Forest(
        id=_need(document, "id", str, "forest"),
        version=_need(document, "version", int, "forest"),
        tree_caps={name: _need(trees, name, int, "trees") for name in trees},
        review_at=_need(document, "review_at", int, "forest"),
        refuse_at=document.get("refuse_at"),
        rules=tuple(rules),
        types=types,
        hash=_sha256(rfc8785.dumps(dict(document))),
    )


def _read_rule(row: Mapping[str, Any]) -> Rule:
    name = _need(row, "id", str, "rule")
    inputs_row = _need(row, "inputs", dict, name)
    try:
        inputs = {key: Type(kind) for key, kind in inputs_row.items()}
        outcome = Outcome(_need(row, "outcome", str, name))
        missing = OnMissing(_need(row, "missing", str, name))
        stages = frozenset(Stage(stage) for stage in _need(row, "stages", list, name))
        start = dt.date.fromisoformat(_need(row, "effective_from", str, name))
        end = row.get("effective_to")
        until = dt.date.fromisoformat(end) if end else None
        when = parse(_need(row, "when", str, name), inputs)
        cap = parse(_need(row, "cap", str, name), inputs) if outcome is Outcome.CAP else None
    except RuleError as problem:
        raise RuleError(f"{name}: {problem}", field=problem.field, rule=name) from None
    except ValueError as problem:
        raise RuleError(f"{name}: {problem}", rule=name) from None
    if when.type is not Type.BOOL:
        raise RuleError(f"{name}: the predicate is {when.type}, not bool", field="when", rule=name)
    if cap is not None and cap.type is not Type.INT:
        raise RuleError(f"{name}: the cap is {cap.type}, not int", field="cap", rule=name)
    unused = set(inputs) - when.names - (cap.names if cap else set())
    if unused:
        raise RuleError(
            f"{name}: does not read {', '.join(sorted(unused))}", field="inputs", rule=name
        )
    reason = _need(row, "reason", dict, name)
    return Rule(
        id=name,
        version=_need(row, "version", int, name),
        owner=_need(row, "owner", str, name),
        tree=_need(row, "tree", str, name),
        stages=stages,
        effective_from=start,
        effective_to=until,
        inputs=inputs,
        when=when,
        outcome=outcome,
        cap=cap,
        score=_need(row, "score", int, name) if outcome is Outcome.SCORE else 0,
        missing=missing,
        code=_need(reason, "code", str, name),
        zh=_need(reason, "zh", str, name),
        en=_need(reason, "en", str, name),
        law=row.get("law", ""),
        document=row,
    )


def _run_cases(rule: Rule, cases: Sequence[Mapping[str, Any]]) -> None:
    """Every rule carries its own examples, hits and misses among them, and must meet them."""
    for index, case in enumerate(cases):
        try:
            given = read_values(_need(case, "given", dict, rule.id), rule.inputs)
        except RuleError as problem:
            raise RuleError(
                f"{rule.id}: case {index}: {problem}", field="cases", rule=rule.id
            ) from None
        answer, _ = rule.ask(given)
        if answer.value != case.get("expect"):
            raise RuleError(
                f"{rule.id}: case {index} expects {case.get('expect')}, the rule says {answer.value}",
                field="cases",
                rule=rule.id,
            )
    wanted = {case.get("expect") for case in cases}
    if not {Answer.HIT.value, Answer.MISS.value} <= wanted:
        raise RuleError(f"{rule.id}: its cases need a hit and a miss", field="cases", rule=rule.id)


def _need(row: Any, key: str, kind: type, where: str) -> Any:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RuleError(f"{where}: {key} must be {kind.__name__}", field=key, rule=where)
    return value


# -- inputs ---------------------------------------------------------------------------------------

_READERS: Final = {Type.INT: int, Type.BOOL: bool, Type.TEXT: str, Type.INTS: int, Type.TEXTS: str}


def read_values(given: Mapping[str, Any], types: Mapping[str, Type]) -> dict[str, Value]:
    """The declared inputs with their types checked; what is not given or null is missing.

    Raises:
        RuleError: a value of another type, or a number beyond 2^53; names the input.
    """
    values: dict[str, Value] = {}
    for name, kind in sorted(types.items()):
        value = given.get(name)
        if value is None:
            values[name] = None
        elif kind in (Type.INTS, Type.TEXTS):
            if not isinstance(value, list | tuple):
                raise RuleError(f"{name} must be a list", field=name)
            values[name] = tuple(_scalar(name, item, _READERS[kind]) for item in value)
        else:
            values[name] = _scalar(name, value, _READERS[kind])
    return values


def _scalar(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RuleError(f"{name} must be {kind.__name__}", field=name, given=str(value))
    if isinstance(value, int) and not -JSON_MAX_FEN <= value <= JSON_MAX_FEN:
        raise RuleError(f"{name} lies beyond what JSON can carry", field=name, given=str(value))
    return value


# -- deciding -------------------------------------------------------------------------------------


def decide(
    forest: Forest,
    given: Mapping[str, Any],
    *,
    stage: Stage,
    subject: str,
    at: dt.datetime,
    asked_fen: int | None = None,
) -> Decision:
    """Asks every rule of a stage that is in force, and says what follows.

    Args:
        forest: the rules.
        given: inputs by name; a name that is absent or None is missing.
        stage: which rules are asked.
        subject: what is decided about, e.g. an advance or a borrower.
        at: when; part of the record, and the date rules are in force on.
        asked_fen: the amount wanted; a cap below it refuses.

    Raises:
        RuleError: an input has the wrong type.
    """
    values = read_values(given, forest.types)
    on = date_of(beijing_day(at))
    found: list[tuple[Rule, Answer, int | None]] = [
        (rule, *rule.ask(values))
        for rule in forest.rules
        if stage in rule.stages and rule.in_force(on)
    ]
    reasons: list[tuple[int, Reason]] = []
    hard = [Verdict.APPROVE]
    points: dict[str, int] = {}
    cap_fen: int | None = None
    for rule, answer, cap in found:
        effect, verdict = _effect(rule, answer)
        if answer is Answer.HIT and rule.outcome is Outcome.SCORE:
            points[rule.tree] = points.get(rule.tree, 0) + rule.score
        if cap is not None:
            cap_fen = cap if cap_fen is None else min(cap, cap_fen)
            if asked_fen is not None and asked_fen > cap:
                verdict = Verdict.REFUSE
        hard.append(verdict)
        if effect:
            reason = Reason(rule.id, rule.code, effect, rule.zh, rule.en, rule.law)
            reasons.append((_WORST[verdict], reason))
    score = sum(min(total, forest.tree_caps[tree]) for tree, total in points.items())
    if forest.refuse_at is not None and score >= forest.refuse_at:
        hard.append(Verdict.REFUSE)
    elif score >= forest.review_at:
        hard.append(Verdict.REVIEW)
    verdict = max(hard, key=_WORST.__getitem__)
    record = _canonical(
        {
            "form": 1,
            "forest": {"id": forest.id, "version": forest.version, "hash": forest.hash},
            "stage": stage.value,
            "subject": subject,
            "at": rfc3339(at),
            "asked_fen": asked_fen,
            "inputs": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in values.items()
            },
            "answers": [
                {"rule": rule.id, "version": rule.version, "answer": answer.value, "cap_fen": cap}
                for rule, answer, cap in found
            ],
            "score": score,
            "cap_fen": cap_fen,
            "verdict": verdict.value,
        }
    )
    ordered = sorted(reasons, key=lambda item: -item[0])
    return Decision(
        verdict=verdict,
        score=score,
        cap_fen=cap_fen,
        reasons=tuple(reason for _, reason in ordered),
        record=record,
        hash=_sha256(record),
    )


def _effect(rule: Rule, answer: Answer) -> tuple[str, Verdict]:
    """The word for what a rule did, "" for nothing, and the verdict that it asks for."""
    if answer is Answer.ERROR:
        return "error", Verdict.REFUSE
    if answer is Answer.MISSING:
        match rule.missing:
            case OnMissing.REFUSE:
                return "missing", Verdict.REFUSE
            case OnMissing.REVIEW:
                return "missing", Verdict.REVIEW
            case OnMissing.PASS:
                return "", Verdict.APPROVE
    if answer is Answer.HIT:
        match rule.outcome:
            case Outcome.REFUSE:
                return "refuse", Verdict.REFUSE
            case Outcome.REVIEW:
                return "review", Verdict.REVIEW
            case _:
                return rule.outcome.value.lower(), Verdict.APPROVE
    return "", Verdict.APPROVE


def redecide(forest: Forest, record: Mapping[str, Any]) -> Decision:
    """Decides again on the inputs of a stored record; the same forest gives the same bytes.

    Args:
        forest: the version of the record, or another one to compare.
        record: a stored record, parsed.
    """
    return decide(
        forest,
        record["inputs"],
        stage=Stage(record["stage"]),
        subject=record["subject"],
        at=dt.datetime.fromisoformat(record["at"]),
        asked_fen=record["asked_fen"],
    )


@dataclass(frozen=True, slots=True)
class Swap:
    """What another forest would have done: who would come in, who would go out, with amounts."""

    decided: int
    agreed: int
    swapped_in: tuple[str, ...]
    swapped_out: tuple[str, ...]
    in_fen: int
    out_fen: int


def backtest(forest: Forest, records: Iterable[Mapping[str, Any]]) -> Swap:
    """Runs a forest over stored snapshots, each as it was known at its time."""
    decided = agreed = in_fen = out_fen = 0
    ins: list[str] = []
    outs: list[str] = []
    for record in records:
        decided += 1
        before = record["verdict"] == Verdict.APPROVE.value
        after = redecide(forest, record).approved
        if before == after:
            agreed += 1
        elif after:
            ins.append(record["subject"])
            in_fen += record["asked_fen"] or 0
        else:
            outs.append(record["subject"])
            out_fen += record["asked_fen"] or 0
    return Swap(decided, agreed, tuple(ins), tuple(outs), in_fen, out_fen)


def _canonical(record: Mapping[str, Any]) -> bytes:
    """A record in RFC 8785 form, by the fast encoder: its names are ASCII and its numbers whole and below 2^53.

    For such values the two are the same bytes, which a test holds; a thousand answers take a fifth of the time.
    """
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _sha256(content: bytes) -> str:
    return "0x" + hashlib.sha256(content).hexdigest()
