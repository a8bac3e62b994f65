"""A person's page, his organisation's and its approvals: factors, invitations, roles, consents, four eyes, wallets."""

from __future__ import annotations

import datetime as dt
import json
import secrets

import pyotp
import pytest
from axe_playwright_python.sync_playwright import Axe
from eth_account import Account

from chain.clock import FixedClock
from tests.e2e.demo_story import give_wallet
from tests.e2e.phone_trip import Firm
from tests.integration.api.people import PASSWORD, open_account
from tests.integration.api.system import key

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
MINUTES = dt.timedelta(minutes=2)
DESK = {"viewport": {"width": 1440, "height": 900}}


@pytest.fixture(scope="module")
def firm(product):
    """A firm with an owner, an approver and a dispatcher."""
    party = product.party("people firm")
    for login, role in (
        ("people-boss", "owner"), ("people-checker", "approver"), ("people-desk", "dispatcher"),
    ):  # fmt: skip
        open_account(product, party, login, role)
    return party


def enter(watched, login, path="/account", code="", **options):
    """Somebody who has come in by the door."""
    page = watched.open(f"/door?next={path}", **(DESK | options))
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("main form button.btn-primary")
    if code:
        page.wait_for_selector("#code")
        page.fill("#password", PASSWORD)
        page.fill("#code", code)
        page.click("main form button.btn-primary")
    page.wait_for_url(f"**{path}")
    return page


def wide(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


def faults(page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize(
    "look",
    [{"locale": "zh-CN", **PHONE}, {"locale": "en-GB", "color_scheme": "dark"}],
    ids=["Chinese on a phone", "English by night"],
)
def test_the_pages_about_people_fit_and_have_no_serious_barrier(watched, firm, look):
    page = enter(watched, "people-boss", **look)
    for path in ("/account", "/organisation", "/approvals", "/door"):
        page.goto(path)
        assert page.locator("html").get_attribute("lang")[:2] == look["locale"][:2]
        assert not wide(page), path
        assert faults(page) == [], path


def test_an_authenticator_is_set_up_by_page_and_asked_for_at_the_door(watched, product, firm):
    watched.excused += ["status of 401", "status of 422"]
    login = f"totp-{secrets.token_hex(3)}"
    open_account(product, firm, login, "auditor")
    page = enter(watched, login)
    page.click("[data-totp] button")
    page.wait_for_selector("[data-totp-qr][src^='data:image/svg']")
    secret = page.inner_text("[data-totp-secret]")
    page.fill("#totp-code", "000000")
    page.click("[data-totp-confirm] button")
    page.wait_for_selector("[data-totp-confirm] .notice.bad")
    page.fill("#totp-code", pyotp.TOTP(secret).now())
    page.click("[data-totp-confirm] button")
    page.wait_for_selector("[data-totp-codes]:not([hidden])")
    codes = page.inner_text("[data-totp-codes] pre").split()
    assert len(codes) == 10
    other = enter(watched, login, code=codes[0])
    assert other.locator("#totp + .chip.good").count() == 1
    assert other.locator("#phone + .chip.good").count() == 0
    wrong = watched.open("/door", **DESK)
    wrong.fill("#login", login)
    wrong.fill("#password", PASSWORD)
    wrong.click("main form button.btn-primary")
    assert "请再输入验证器" in wrong.inner_text(".notice")
    wrong.fill("#password", PASSWORD)
    wrong.fill("#code", codes[0])
    wrong.click("main form button.btn-primary")
    assert "每个验证码只能用一次" in wrong.inner_text(".notice.bad")


def test_a_passkey_is_made_and_opens_the_door(browser, product, firm):
    login = f"passkey-{secrets.token_hex(3)}"
    open_account(product, firm, login, "auditor")
    context = browser.new_context(base_url=f"http://localhost:{product.port}", locale="en-GB")
    context.set_default_timeout(10_000)
    try:
        page = context.new_page()
        device = context.new_cdp_session(page)  # a device's own authenticator, as Chromium plays it
        device.send("WebAuthn.enable")
        device.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                    "hasUserVerification": True, "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )  # fmt: skip
        page.goto("/door?next=/account")
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        page.click("main form button.btn-primary")
        page.fill("#passkey-label", "Office computer")
        page.click("[data-passkey] button")
        page.wait_for_selector(
            "[data-totp-codes] pre:has-text('-')"
        )  # the first brings recovery codes
        page.click("[data-totp-codes] a")
        page.wait_for_selector("td:has-text('Office computer')")
        page.click('form[action="/door/out"] button')
        page.click("[data-passkey]")
        page.wait_for_url("**/firm")
        page.goto("/account")
        assert "Passkey" in page.inner_text("#sessions >> xpath=../..")
    finally:
        context.close()


def test_a_code_to_the_phone_opens_the_door_on_a_phone(watched, product, firm, monkeypatch):
    watched.excused += ["status of 422", "status of 429"]
    login = f"phone-{secrets.token_hex(3)}"
    open_account(product, firm, login, "driver")
    number = f"138{secrets.randbelow(10**8):08d}"

    def last_code() -> str:
        lines = (product.settings.var / "sandbox-sms.jsonl").read_text("utf-8").splitlines()
        told = [json.loads(line) for line in lines]
        return next(
            one["text"].split(": ")[1][:6] for one in reversed(told) if number in one["phone"]
        )

    page = enter(watched, login, **PHONE)
    page.fill("#phone-new", number)
    page.click("[data-phone-ask] button")
    page.wait_for_selector("[data-phone-prove]:not([hidden])")
    page.fill("#phone-code", last_code())
    page.click("[data-phone-prove] button")
    page.wait_for_selector(f"b:has-text('{number}')")
    other = watched.open("/door?next=/account", **PHONE)
    other.click("summary")
    other.fill("#phone", number)
    other.click("[data-phone] button")
    other.wait_for_selector("[data-trouble]:not([hidden])")
    assert "次数过多" in other.inner_text("[data-trouble]"), "one code a minute"
    monkeypatch.setattr(
        product.container, "wall", FixedClock(product.container.wall.now() + MINUTES)
    )
    other.click("[data-phone] button")
    other.wait_for_selector("[data-code]:not([hidden])")
    other.fill("#phone-code", "000000" if last_code() != "000000" else "000001")
    other.click("[data-phone] button")
    other.wait_for_selector("[data-trouble]:not([hidden])")
    assert "验证码不对" in other.inner_text("[data-trouble]")
    other.fill("#phone-code", last_code())
    other.click("[data-phone] button")
    other.wait_for_url("**/account")


def test_an_invitation_is_made_taken_up_on_a_phone_and_its_role_changed(watched, firm):
    page = enter(watched, "people-boss", "/organisation")
    page.select_option("#invite-role", "treasurer")
    page.locator("[data-invite] button").dblclick()
    page.wait_for_selector("[data-invited] img[src^='data:image/svg']")
    link = page.inner_text("[data-link]")
    phone = watched.open(link[link.index("/door/") :], **PHONE)
    login = f"invited-{secrets.token_hex(3)}"
    phone.fill("#name", "钱经办")
    phone.fill("#login", login)
    phone.fill("#password", PASSWORD)
    phone.click("main form button.btn-primary")
    phone.wait_for_selector('form[action="/door/out"]')
    phone.goto("/organisation")
    assert phone.locator("[data-invite]").count() == 0, "only an owner invites"
    page.reload()
    assert page.locator("td:has-text('待接受')").count() == 0, "the double click was one"
    row = page.locator("tr", has_text=login)
    row.locator("select").select_option("auditor")
    row.locator("form button").click()
    page.wait_for_selector(
        f"tr:has-text('{login}') option[value=auditor][selected]", state="attached"
    )
    phone.goto("/organisation")
    assert "/door" in phone.url, "his sessions ended with his role"


def test_consents_are_given_and_taken_back_in_the_words_shown(watched, product, firm):
    login = f"consent-{secrets.token_hex(3)}"
    open_account(product, firm, login, "dispatcher")
    page = enter(watched, login, locale="en-GB")
    page.click("[data-give=credit]")
    page.wait_for_selector("button:has-text('Take back')")
    page.click("button:has-text('Take back')")
    page.wait_for_selector(".chip:has-text('Taken back')")
    kept = json.loads(page.request.get("/v1/consents").text())["data"]
    assert [(one["purpose"], one["withdrawn_at"] is not None) for one in kept] == [("credit", True)]
    assert kept[0]["text_hash"].startswith("0x")


def test_with_four_eyes_one_prepares_another_agrees_and_it_goes_out_once(watched, product):
    watched.excused.append("status of 403")
    party = product.party(f"eyes {secrets.token_hex(3)}")
    boss, checker = (f"{name}-{secrets.token_hex(3)}" for name in ("boss", "checker"))
    open_account(product, party, boss)
    page = enter(watched, boss, "/organisation")
    assert page.locator("[data-act=PATCH][data-path='/v1/organisation']").count() == 0
    open_account(product, party, checker, "approver")
    page.reload()
    page.click("text=开启双人复核")
    page.wait_for_selector(".head .chip.good")
    page.click("text=改回单人办理")
    page.locator("[data-propose]").dblclick()
    page.wait_for_selector("a[href='/approvals']:has-text('已提交复核')")
    page.goto("/approvals")
    assert page.locator("[data-proposal]").count() == 1
    assert page.locator("[data-path$='/approval']").count() == 0, "nobody approves his own"
    other = enter(watched, checker, "/approvals")
    other.locator("[data-path$='/approval']").dblclick()
    other.wait_for_selector("[data-state=approved]")
    assert other.locator("[data-once]").count() == 0, "the one who prepared it sends it"
    page.reload()
    page.locator("[data-once]").dblclick()
    page.wait_for_selector("section:has(#decided) .chip.good")
    assert page.locator("[data-proposal]").count() == 0
    assert "单人办理" in page.inner_text(".head .chip")


def test_what_is_grave_asks_again_who_one_is_and_then_goes_on(watched, product, firm):
    watched.excused += ["status of 403", "status of 401"]
    login = f"grave-{secrets.token_hex(3)}"
    open_account(product, firm, login, "auditor")
    page = enter(watched, login)
    refused = {"n": 0}

    def old_proof(route):
        """The first answer is that of a session whose proof is too old."""
        refused["n"] += 1
        if refused["n"] > 1:
            route.continue_()
            return
        route.fulfill(status=403, json={"code": "proof_too_old", "detail": "sign in again"})

    page.route("**/v1/me/totp", old_proof)
    page.click("[data-totp] button")
    page.wait_for_selector("dialog[open] #proof-password")
    page.fill("#proof-password", "not my password at all")
    page.click("dialog .btn-primary")
    page.wait_for_selector("dialog .notice.bad")
    assert faults(page) == []
    page.fill("#proof-password", PASSWORD)
    page.click("dialog .btn-primary")
    page.wait_for_selector("[data-totp-made]:not([hidden])")
    assert refused["n"] == 2


def wallet_of(firm):
    """The account of a firm's own key."""
    return Account.from_key(key(firm.word)._key.secret)


def test_a_wallet_signs_a_waybill_once_and_a_refusal_changes_nothing(watched, product):
    watched.excused.append("status of 409")
    firm = Firm(product)
    login = f"wallet-{secrets.token_hex(3)}"
    open_account(product, firm.client, login)
    driver = product.party(f"wallet driver {secrets.token_hex(3)}", "driver")
    waybill = firm.draft(str(driver.party))
    page = enter(watched, login)
    give_wallet(page, wallet_of(firm), product.chain.chain_id, refusals=1)
    page.goto(f"/sign?form=/v1/waybills/{waybill['id']}")
    page.wait_for_selector("[data-wallet]:not([aria-disabled])")
    assert "¥720.00" in page.inner_text("[data-message]")
    page.click("[data-wallet]")
    page.wait_for_selector("[data-trouble]:has-text('取消了签署')")
    assert (
        f"pty_{firm.client.party}" in firm.client.get(f"/v1/waybills/{waybill['id']}")["waits_for"]
    )
    page.locator("[data-wallet]").dblclick()
    page.wait_for_selector("[data-done]:not([hidden])")
    assert firm.client.get(f"/v1/waybills/{waybill['id']}")["waits_for"] == [f"pty_{driver.party}"]
    other = page.context.new_page()
    other.goto(f"/sign?form=/v1/waybills/{waybill['id']}")
    page.go_back()
    page.go_forward()
    page.wait_for_selector("[data-done]:not([hidden])")


def test_a_wallet_on_another_chain_signs_nothing(watched, product):
    firm = Firm(product)
    login = f"chain-{secrets.token_hex(3)}"
    open_account(product, firm.client, login)
    driver = product.party(f"chain driver {secrets.token_hex(3)}", "driver")
    waybill = firm.draft(str(driver.party))
    page = enter(watched, login)
    give_wallet(page, wallet_of(firm), 1)
    page.goto(f"/sign?form=/v1/waybills/{waybill['id']}")
    page.click("[data-wallet]:not([aria-disabled])")
    page.wait_for_selector("[data-trouble]:has-text('另一条链')")
    assert (
        f"pty_{firm.client.party}" in firm.client.get(f"/v1/waybills/{waybill['id']}")["waits_for"]
    )
