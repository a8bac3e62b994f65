"""Every word that a page can ask for exists in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.portals.finding_words import FINDINGS, finding_name, finding_numbers
from api.portals.rendering import by_day
from api.portals.trip_page import _SENTENCES
from api.portals.views import STEPS, Lane, Stage
from api.portals.words import WORDS, choose_language, word
from chain.bindings.events import EVENTS
from chain.ports import TransactionState
from chain.waybill import Stage as WaybillStage
from finance.advance import AdvanceState
from finance.ledger import Account
from tracking.policy import default_policy
from tracking.verdict import Outcome

TEMPLATES = Path(__file__).resolve().parents[3] / "api" / "portals" / "templates"


def asked() -> set[str]:
    found = set()
    for page in TEMPLATES.glob("*.html"):
        found |= set(re.findall(r"""\bt\("([a-z_0-9]+)"\)""", page.read_text()))
    prefixes = {
        "stage_": [s.value for s in Stage],
        "step_": [s.value for s in STEPS],
        "lane_": [lane.value for lane in Lane],
        "chain_": [s.value for s in TransactionState],
        "waybill_": [s.value for s in WaybillStage],
        "advance_": [s.value for s in AdvanceState],
        "verdict_": [o.value for o in Outcome],
        "severity_": ["info", "review", "fail"],
        "account_": [a.value for a in Account],
        "show_": ["all", "open", "paid", "held"],
    }
    return found | {p + name for p, names in prefixes.items() for name in names}


def test_no_page_asks_for_a_word_that_is_not_there():
    assert asked() - WORDS.keys() == set()
    assert len(asked()) > 80


def test_every_word_is_in_both_languages():
    for key, (chinese, english) in WORDS.items():
        assert chinese.strip(), key
        assert english.strip(), key
        assert not re.search(r"[\u4e00-\u9fff]", english) or key == "other_lang", key


def test_every_rule_of_the_judge_has_a_name():
    nameless = {rule.code for rule in default_policy().rules} - FINDINGS.keys()
    assert nameless == set()


def test_every_told_event_exists():
    assert set(_SENTENCES) <= {event.__name__ for event in EVENTS.values()}


def test_an_unknown_finding_still_has_a_name():
    assert finding_name("brand_new", "zh") == "brand new"
    detail = {"seconds": 40, "aside_permille": 284, "short": True, "inner_cm": 3}
    assert finding_numbers(detail, "en") == "40 s, sideways 28.4%"
    assert finding_numbers(detail, "zh") == "40 s、横向比 28.4%"


@pytest.mark.parametrize(
    ("given", "lang"),
    [
        (("en", "zh", "zh"), "en"),
        ((None, "en", "zh-CN"), "en"),
        (("xx", None, "en-GB"), "en"),
        ((None, None, ""), "zh"),
    ],
)
def test_the_language_is_the_readers(given, lang):
    assert choose_language(*given) == lang


def test_no_word_is_guessed():
    with pytest.raises(KeyError):
        word("no such word", "zh")


def test_days_are_those_of_beijing():
    assert by_day([]) == []
