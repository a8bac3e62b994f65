"""An advance approved by a rule is proved by the rule's signature in place of an approval's."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from api.verifier.money import _covered_by_rule
from api.verifier.story import Happened, Signed, Story
from chain.bindings import events, structs

WORD = "0x" + "11" * 32
LINE = "0x" + "22" * 32
NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
RULE = structs.ApprovalRule(
    line=LINE,
    debtor=12,
    most=5_000,
    until=int(NOW.timestamp()),
    valid_for=86_400,
    document=WORD,
    expires=0,
    salt=WORD,
)


def _signed(form: Any, block: int) -> Signed:
    return Signed("CreditFacility", "setRule", form, ("lender",), (), WORD, NOW, (block, 0, -1))


def _covered(*rules: tuple[structs.ApprovalRule, int], debtor: int = 12) -> bool:
    """Asked of an advance of 5,000 fen that was approved in block 10."""
    blank: dict[str, Any] = dict.fromkeys(("waybill", "trip", "notice", "salt"), WORD)
    said = structs.Acknowledgement(
        advance=WORD,
        debtor=debtor,
        lender=16,
        expires=0,
        **blank,
    )
    request: Any = dataclasses.make_dataclass("Request", ["line", "principal"])(LINE, 5_000)
    approved = events.AdvanceApproved(WORD, 16, 5_000, 0)
    story = Story(
        signed=[_signed(said, 1), *(_signed(rule, block) for rule, block in rules)],
        events=[Happened(approved, "FreightAdvance", WORD, NOW, (10, 0, 3))],
    )
    return _covered_by_rule(story, WORD, request)


def test_the_rule_that_stood_covers_up_to_its_amount_second_and_debtor() -> None:
    assert _covered((RULE, 2))
    assert _covered((dataclasses.replace(RULE, debtor=0), 2), debtor=13)


@pytest.mark.parametrize(
    "changed",
    [{"most": 4_999}, {"until": int(NOW.timestamp()) - 1}, {"debtor": 13}, {"line": WORD}],
)
def test_a_rule_that_does_not_reach_covers_nothing(changed: dict[str, Any]) -> None:
    assert not _covered((dataclasses.replace(RULE, **changed), 2))


def test_without_a_rule_or_with_a_later_one_nothing_is_covered() -> None:
    assert not _covered()
    assert not _covered((RULE, 11))
    assert not _covered((RULE, 2), (dataclasses.replace(RULE, most=0), 3))
