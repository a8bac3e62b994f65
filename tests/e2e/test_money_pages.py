"""Money by page: opening and raising a line, asking, paying back, the lender's acts, freezing, a warning dealt with."""

from __future__ import annotations

import datetime as dt
import re
import secrets

import pytest
from eth_account import Account

from api.client import plain
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt
from chain.clock import rfc3339
from chain.ids import Hash32
from finance.advance import EventKind
from finance.records import WarningRecord
from finance.watch import Action
from tests.e2e.conftest import Watched
from tests.e2e.demo_story import give_wallet
from tests.e2e.desk_day import Day
from tests.integration.api.people import open_account
from tests.integration.api.system import key

DESK = {"viewport": {"width": 1440, "height": 900}}
SIGNED = "[data-done]:not([hidden])"


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    made = Day(tmp_path_factory.mktemp("money"))
    open_account(made.system, made.cast["carrier"], "carrier")
    yield made
    made.close()


@pytest.fixture
def desk(browser, day):
    opened = Watched(browser, day.url)
    yield opened
    opened.close()


def enter(desk, day, login, path="", **options):
    """A page of somebody who has signed in, with his party's own wallet."""
    page = desk.open(**(DESK | options))
    page.context.add_cookies([day.cookie(login)])
    word = login.partition("-")[0]
    account = Account.from_key(key(word)._key.secret)
    give_wallet(page, account, day.system.chain.chain_id)
    if path:
        page.goto(path)
    return page


def sign(page) -> None:
    page.click("[data-wallet]:not([aria-disabled])")
    page.wait_for_selector(SIGNED)


def fund(day, name: str, fen: int) -> None:
    """Bank money of a party becomes token on its account."""
    system = day.system
    account = system.container.client.fetch(PartyRegistry.account_of(day.cast[name].party))
    receipt = MintReceipt(Hash32("0x" + secrets.token_hex(32)), account, fen, 20_481)
    domain = system.container.client.domain("SettlementToken")
    signatures = [key(one).sign_typed_data(receipt, domain) for one in ("bank one", "bank two")]
    system.send(SettlementToken.mint(receipt, *signatures), f"mint {receipt.bank_reference}")


def lay_terms(page, tmp_path, borrower: str) -> None:
    """Fills in the terms of a new line and lays them before the borrower."""
    contract = tmp_path / "contract.txt"
    contract.write_text("授信合同", "utf-8")
    page.fill("#t-borrower", borrower)
    page.fill("#t-limit_fen", "20,000.00")
    page.set_input_files("#t-text", contract)
    page.wait_for_function("document.querySelector('[name=terms]').value.length === 66")
    page.click("form[data-terms] button.btn-primary")


def test_a_line_is_laid_before_the_borrower_who_signs_first_and_then_it_opens(desk, day, tmp_path):
    desk.excused += ["401", "403"]
    lender = enter(desk, day, "lender", "/lender/lines/new")
    lender.fill("#t-limit_fen", "twenty")
    lender.reload()
    assert lender.input_value("#t-limit_fen") == "twenty", "what was typed outlives a reload"
    lender.fill("#t-rate_ppm", "9.123456")
    lay_terms(lender, tmp_path, "haulier公司")
    assert lender.get_attribute("#t-rate_ppm", "aria-invalid") == "true"
    lender.fill("#t-rate_ppm", "9.5")
    lender.locator("form[data-terms] button.btn-primary").dblclick()
    lender.wait_for_url("**/lender/lines#offers")
    assert lender.locator("[data-offer]").count() == 1, "a double click is one offer"
    assert lender.locator("[data-offer] a.btn").count() == 0, "it is the borrower's turn"

    # the borrower signs; his session ends before he hands it in, and nothing is signed twice
    firm = enter(desk, day, "haulier", "/firm")
    firm.click("a:has-text('授信条款')")
    firm.wait_for_selector("[data-wallet]:not([aria-disabled])")
    told = firm.inner_text("[data-message]")
    for words in ("¥20,000.00", "9.50%", "lender公司", "witness two公司"):
        assert words in told, words
    other = firm.context.new_page()
    other.goto(firm.url)
    other.wait_for_selector("[data-message] dd")
    firm.bring_to_front()
    firm.evaluate(
        "() => { const own = window.ethereum.request; window.signed = 0;"
        " window.ethereum.request = (told) => { window.signed += told.method === 'eth_signTypedData_v4'; return own(told); }; }"
    )
    firm.context.clear_cookies()
    firm.click("[data-wallet]")
    firm.wait_for_selector("[data-trouble]:has-text('会话已结束')")
    firm.context.add_cookies([day.cookie("haulier")])
    firm.click("[data-wallet]")
    firm.wait_for_selector(SIGNED)
    assert firm.evaluate("window.signed") == 1, "the kept signature was handed in"
    other.bring_to_front()
    other.wait_for_selector(SIGNED)  # the second tab notices, and asks for nothing more

    lender.reload()
    lender.click("[data-offer] a.btn-primary")
    sign(lender)
    day.system.settle()
    (line,) = [
        one for one in day.cast["haulier"].get("/v1/lines")["data"] if one["limit_fen"] == 2_000_000 and one["rate_ppm"] == 95_000
    ]  # fmt: skip
    assert line["state"] == "open"
    lender.goto("/lender/lines")
    assert lender.locator("[data-offer] .chip.good").count() == 1


def test_a_limit_is_raised_with_the_borrower_lowered_without_and_an_offer_can_be_refused(desk, day):
    line = day.line
    lender = enter(desk, day, "lender", f"/lender/lines/{line}/limit")
    lender.fill("#l-limit", "30,000")
    assert "借款人" in lender.inner_text("[data-means]")
    lender.click("form[data-limit] button")
    lender.wait_for_url("**/lender/lines#offers")
    firm = enter(desk, day, "haulier", "/firm/credit", locale="en-GB")
    firm.once("dialog", lambda dialog: dialog.accept())
    firm.click("[data-offer]:has-text('30,000.00') button:has-text('Refuse')")
    firm.wait_for_selector("[data-offer] .chip.bad")
    lender.goto(f"/lender/lines/{line}/limit")
    lender.fill("#l-limit", "25,000.50")
    lender.click("form[data-limit] button")
    lender.wait_for_url("**/lender/lines#offers")
    firm.reload()
    firm.click("[data-offer]:has-text('25,000.50') a.btn-primary")
    sign(firm)
    lender.reload()
    lender.click("[data-offer]:has-text('25,000.50') a.btn-primary")
    sign(lender)
    day.system.settle()
    held = day.cast["haulier"].get(f"/v1/lines/{line}")
    assert held["limit_fen"] == 2_500_050
    lender.goto(f"/lender/lines/{line}/limit")
    lender.fill("#l-limit", "24,000")
    assert "借款人" not in lender.inner_text("[data-means]")
    lender.click("form[data-limit] button")
    lender.wait_for_url("**/sign?form=**")
    sign(lender)
    day.system.settle()
    assert day.cast["haulier"].get(f"/v1/lines/{line}")["limit_fen"] == 2_400_000


def test_a_line_is_frozen_and_thawed_by_page(desk, day):
    lender = enter(desk, day, "lender")
    for frozen in (True, False):
        lender.goto("/lender/lines")
        lender.click(f"a[href^='/sign?form=/v1/lines/{day.line}/change%3Ffrozen']")
        sign(lender)
        day.system.settle()
        assert day.cast["lender"].get(f"/v1/lines/{day.line}")["frozen"] is frozen
        lender.goto("/lender/lines")
        assert (lender.locator("main .chip.warn:has-text('冻结')").count() == 1) is frozen


def test_the_borrower_pays_back_by_page_and_sees_what_is_left(desk, day):
    fund(day, "haulier", 20_000)
    firm = enter(desk, day, "haulier", "/firm/credit")
    firm.click(f"a[href='/firm/advances/{day.advance}#repay']")
    owed = day.cast["haulier"].get(f"/v1/advances/{day.advance}")
    firm.fill("#repay-yuan", "999,999")
    firm.click("form[data-repay] button")
    assert "不能超过" in firm.inner_text("form[data-repay] [data-trouble]")
    firm.fill("#repay-yuan", "100.00")
    firm.click("form[data-repay] button")
    firm.wait_for_url("**/sign?form=**")
    firm.wait_for_selector("[data-message]:has-text('¥100.00')")
    sign(firm)
    day.system.settle()
    firm.click("[data-next]")
    firm.wait_for_url(f"**/firm/advances/{day.advance}")
    left = day.cast["haulier"].get(f"/v1/advances/{day.advance}")
    assert left["payoff_fen"] == owed["payoff_fen"] - 10_000
    assert "100.00" in firm.inner_text("section:has(#transactions)")


def test_the_lender_defers_interest_with_a_reason_that_is_kept(desk, day):
    lender = enter(desk, day, "lender", f"/lender/loans/{day.advance}")
    lender.check("input[name=act][value=later_start]")
    lender.fill("#act-day", "2026-01-30")
    lender.fill("#act-reason", "司机等了三天的卸货 & 停电")
    lender.click("form[action$='/act'] button")
    lender.wait_for_url("**/sign?form=**")
    lender.wait_for_selector("[data-message]:has-text('2026-01-30')")
    sign(lender)
    day.system.settle()
    lender.click("[data-next]")
    assert "司机等了三天的卸货 & 停电" in lender.inner_text("main")
    with day.system.container.read() as services:
        kinds = [one.kind for one in services.books.list_events([day.advance])[day.advance]]
    assert EventKind.DEFERRED in kinds


def test_the_lender_gives_a_loan_more_time_and_the_borrower_sees_the_new_day(desk, day):
    before = dt.date.fromisoformat(day.cast["lender"].get(f"/v1/advances/{day.advance}")["due_day"])
    later = (before + dt.timedelta(days=10)).isoformat()
    lender = enter(desk, day, "lender", f"/lender/loans/{day.advance}", locale="en-GB")
    lender.check("input[name=act][value=waive]")
    assert not lender.is_visible("#act-day"), "an act shows its own field alone"
    lender.check("input[name=act][value=extend]")
    assert lender.input_value("#act-day") == before.isoformat()
    lender.fill("#act-day", later)
    lender.fill("#act-reason", "the debtor pays a week late")
    lender.click("form[action$='/act'] button")
    lender.wait_for_url("**/sign?form=**")
    lender.wait_for_selector(f"[data-message]:has-text('{later}')")
    sign(lender)
    day.system.settle()
    firm = enter(desk, day, "haulier", f"/firm/advances/{day.advance}")
    assert later in firm.inner_text(".head")
    assert "展期" in firm.inner_text("section:has(#transactions)")


def test_a_reference_shares_out_what_came_in_once(desk, day):
    lender = enter(desk, day, "lender", f"/lender/loans/{day.advance}")
    assert "还没有运费到账" in lender.inner_text("section:has(#freight)")
    reference = f"BK{secrets.token_hex(4)}"
    lender.fill("#share-reference", reference)
    with lender.expect_response(re.compile("/settlements")) as answered:
        lender.locator("section:has(#freight) form button").dblclick()
    assert answered.value.status == 202
    lender.wait_for_load_state()


def test_a_warning_is_dealt_with_by_page(desk, day):
    lender, borrower = day.cast["lender"].party, day.cast["haulier"].party
    with day.system.container.write() as services:
        services.books.save_warning(
            WarningRecord(
                lender=lender, borrower=borrower, code="LIMIT_FULL", value=9_700,
                action=Action.WATCH, owner="risk", since_day=20_480, due_day=20_490, last_day=20_480,
            )
        )  # fmt: skip
    page = enter(desk, day, "lender", "/lender/warnings", locale="en-GB")
    assert "Firm haulier" in page.inner_text("tbody tr")
    page.locator("form[data-path='/v1/warnings'] button").dblclick()
    page.wait_for_selector(".empty-state >> nth=0")
    assert day.cast["lender"].get("/v1/warnings")["data"] == []


def next_trip(day) -> str:
    """A second trip of the same firms, signed down to the driver, whose account is in the book."""
    system, cast = day.system, day.cast
    now = system.now().replace(microsecond=0)
    driver = cast["driver"]
    account = {
        "holder": "driver公司", "number": "6222021234567890123", "bank": "102100099996",
        "salt": "0x" + secrets.token_hex(32),
    }  # fmt: skip
    form = driver.post("/v1/payout-accounts/form", account)
    driver.post("/v1/payout-accounts", account | driver.sign(form["to_sign"]))
    sides, above, made = ("consignor", "carrier", "haulier", "driver"), None, {}
    for tier, freight in enumerate((110_000, 100_000, 80_000)):
        leaf = {"serial": "0102", "plate": "苏A·5822", "terminal": "13900005822", "route": "A-C"}
        asked = {
            "parent": above, "issuer": str(cast[sides[tier]].party), "performer": str(cast[sides[tier + 1]].party),
            "consignee": str(cast["consignee"].party), "shipping_note": "YD20260127-777", "goods": "糖",
            "quantity_milli": 12_000, "freight_fen": freight, "term_days": 45,
            "load_from": rfc3339(now + dt.timedelta(hours=2)), "deliver_by": rfc3339(now + dt.timedelta(hours=12)),
            **(leaf if tier == 2 else {}),
        }  # fmt: skip
        made = cast["carrier"].post("/v1/waybills", asked)
        above = plain(made["id"])
        for side in sides[tier : tier + 2]:
            cast[side].sign_waybill(above)
    system.settle()
    return plain(driver.get(f"/v1/waybills/{above}")["trip"])


def test_an_advance_is_asked_for_by_page_and_the_debtor_finds_what_he_is_to_acknowledge(desk, day):
    trip = next_trip(day)
    firm = enter(desk, day, "haulier", f"/firm/advances/new?trip={trip}")
    assert firm.input_value("#ask-yuan") == "800.00"
    assert "driver公司" in firm.inner_text("form[data-ask]")
    firm.fill("#ask-yuan", "many")
    firm.click("form[data-ask] button.btn-primary")
    assert firm.get_attribute("#ask-yuan", "aria-invalid") == "true"
    firm.fill("#ask-yuan", "800")
    firm.locator("form[data-ask] button.btn-primary").dblclick()
    firm.wait_for_selector("[data-go]:not([hidden])")
    assert firm.inner_text("[data-verdict]") != ""
    firm.click("[data-go] a")
    firm.wait_for_selector("[data-message]:has-text('¥800.00')")
    assert "driver公司" in firm.inner_text("[data-message]")
    sign(firm)
    day.system.settle()
    firm.click("[data-next]")
    firm.wait_for_url("**/firm/advances/0x*")
    assert "YD20260127-777" in firm.inner_text("main")
    carrier = enter(desk, day, "carrier", "/firm")
    carrier.click("a:has-text('确认应付运费')")
    sign(carrier)
    day.system.settle()
    carrier.goto("/firm")
    assert carrier.locator("a:has-text('确认应付运费')").count() == 0
    firm.goto("/sign?form=/v1/advances")
    firm.wait_for_selector("[data-trouble]:has-text('重新试算')")
