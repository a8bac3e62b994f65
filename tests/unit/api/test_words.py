"""Every word that a page can ask for exists in both languages."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from api.documents import Purpose
from api.identity.roles import Role
from api.portals.assets import ICONS
from api.portals.finding_words import FINDINGS, finding_name, finding_numbers
from api.portals.firm_work import SIGNED_FIELDS
from api.portals.loans import ACTS_OF
from api.portals.people_pages import PROPOSED, proposed_kind
from api.portals.rendering import by_day
from api.portals.shell import NAVIGATION, THEMES, Face
from api.portals.status import STATUSES
from api.portals.trip_page import _SENTENCES
from api.portals.views import STEPS, Lane, Stage
from api.portals.words import LANGUAGES, catalogue, choose_language, word
from api.privacy.consents import Purpose as Consented
from api.stages import Hold
from api.timeline import ABOUT
from chain.bindings.events import EVENTS
from chain.ports import TransactionState
from chain.waybill import Stage as WaybillStage
from finance.advance import AdvanceState, EventKind
from finance.classification import FiveTier
from finance.ledger import Account
from finance.portfolio import AGEING
from finance.records import PayeeState
from finance.risk import Verdict
from finance.watch import SIGNALS, Action
from tracking.findings import Severity
from tracking.policy import default_policy
from tracking.verdict import Outcome

PORTALS = Path(__file__).resolve().parents[3] / "api" / "portals"
PHONE_STEPS = re.findall(
    r"(\w+): \d",
    (PORTALS / "static/phone/driver_task.js")
    .read_text("utf-8")
    .split("const PLACE = {")[1]
    .split("}")[0],
)
PHONE_MONEY = [
    "signed",
    "attested",
    "released",
    "queued",
    "instructed",
    "accepted",
    "paid",
    "delivered",
    "rejected",
]
ASKED = re.compile(r"""(?:\bt|\bword)\(\s*["']([a-z_0-9]+)["']\s*[,)]""")


def asked() -> set[str]:
    """Every word that a page can ask for: named outright, or made of a kind and a state."""
    found = set()
    for page in (*PORTALS.rglob("*.html"), *PORTALS.rglob("*.py")):
        found |= set(ASKED.findall(page.read_text("utf-8")))
    for script in PORTALS.glob("static/phone/*.js"):
        found |= set(re.findall(r"""["'](ph_[a-z_0-9]+)["']""", script.read_text("utf-8")))
    prefixes = {
        "ph_step_": PHONE_STEPS,
        "ph_do_": PHONE_STEPS,
        "ph_act_": ["arrived_loading", "departed", "arrived_unloading"],
        "ph_item_": ["waiting", "sending", "sent", "failed"],
        "ph_light_": THEMES,
        "ph_money_": PHONE_MONEY,
        "stage_": [s.value for s in Stage],
        "step_": [s.value for s in STEPS],
        "lane_": [lane.value for lane in Lane],
        "chain_": [s.value for s in TransactionState],
        "waybill_": [s.value for s in WaybillStage],
        "advance_": [s.value for s in AdvanceState],
        "payment_": [s.value for s in PayeeState],
        "tier_": [t.word for t in FiveTier],
        "verdict_": [*(o.value for o in Outcome), "none"],
        "severity_": [s.name.lower() for s in Severity],
        "account_": [a.value for a in Account],
        "theme_to_": THEMES,
    }
    prefixes["event_"] = [
        event.__name__.lower()
        for event in EVENTS.values()
        if {field.name for field in dataclasses.fields(event)} & set(ABOUT)
    ]
    prefixes["hold_"] = [h.value for h in Hold] + [f"{h.value}_do" for h in Hold]
    prefixes["hold_"] += ["late_pickup", "late_pickup_do", "late_delivery", "late_delivery_do"]
    prefixes["kind_"] = [k.value for k in EventKind]
    prefixes["decision_"] = [v.value.lower() for v in Verdict]
    prefixes["action_"] = [a.value for a in Action]
    prefixes["owner_"] = sorted({signal.owner for signal in SIGNALS})
    prefixes["band_"] = [str(place) for place in range(len(AGEING))]
    prefixes["part_"] = ["advance", "reserved", "fee", "interest", "penalty", "rest"]
    signed = (
        "approval",
        "gate",
        "acknowledgement",
        "consent",
        "repayment",
        "loading",
        "confirmation",
        "waybill",
        "act",
        "change",
        "offer",
        "request",
    )
    prefixes["to_sign_"] = ["waybill", "offer", "acknowledgement"]
    prefixes["sign_"] = [*signed, *(f"{kind}_means" for kind in signed)]
    prefixes["delivery_"] = ["pending", "delivered", "given_up"]
    prefixes["hook_"] = ["enabled", "disabled", "deleted"]
    prefixes["face_"] = [f"{face.value}{more}" for face in Face for more in ("", "_line")]
    prefixes["role_"] = [f"{role.value}{more}" for role in Role for more in ("", "_may")]
    prefixes["consent_"] = [f"{p.value}{more}" for p in Consented for more in ("", "_text")]
    prefixes["method_"] = ["password", "passkey", "phone", "invitation"]
    prefixes["invitation_"] = ["open", "taken", "withdrawn", "expired"]
    prefixes["proposed_"] = [proposed_kind(f"/v1/{name}") for name in (*PROPOSED, "unnamed")]
    prefixes["act_"] = [
        f"{act}{more}" for acts in ACTS_OF.values() for act in acts for more in ("", "_means")
    ]
    prefixes["signed_"] = list(SIGNED_FIELDS)
    steps = ("waybill", "trip", "held", "evidence", "chain", "portfolio", "pack")
    prefixes["tour_"] = [f"{step}{more}" for step in steps for more in ("", "_line")]
    prefixes["purpose_"] = [p.value for p in Purpose]
    found |= {p + name for p, names in prefixes.items() for name in names}
    found |= {f"{kind}_{state}" for kind, states in STATUSES.items() for state in states}
    return found | {name for pages in NAVIGATION.values() for _, name, _ in pages}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_page_asks_for_a_word_that_is_not_there(lang):
    assert asked() - catalogue(lang).words.keys() == set()
    assert len(asked()) > 150


def test_every_word_is_in_both_languages():
    chinese, english = (catalogue(lang).words for lang in LANGUAGES)
    assert chinese.keys() == english.keys()
    assert [key for key, text in (*chinese.items(), *english.items()) if not text.strip()] == []
    assert [
        key
        for key, text in english.items()
        if re.search(r"[\u4e00-\u9fff]", text) and key != "other_lang"
    ] == []


def test_both_languages_ask_for_the_same_facts():
    chinese, english = (catalogue(lang).words for lang in LANGUAGES)
    facts = re.compile(r"{(\w+)}")
    assert [
        key
        for key in chinese
        if set(facts.findall(chinese[key])) != set(facts.findall(english[key]))
    ] == []


def test_every_state_has_an_icon_that_is_there():
    icons = {status.icon for states in STATUSES.values() for status in states.values()}
    assert icons <= ICONS.keys()


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


def test_a_word_that_counts_has_its_plural():
    assert word("n_rows", "en", n=1) == "1 row"
    assert word("n_rows", "en", n=20) == "20 rows"
    assert word("n_rows", "zh", n=20) == "20 行"


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
