"""Asking for a credit line by page, and the lender's answer."""

from __future__ import annotations

import secrets

from tests.integration.api.people import PASSWORD, open_account

DESK = {"viewport": {"width": 1440, "height": 900}}


def enter(watched, product, party, path, **options):
    """Somebody of a party who has come in by the door."""
    login = f"credit-{secrets.token_hex(3)}"
    open_account(product, party, login)
    page = watched.open(f"/door?next={path}", **(DESK | options))
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("main form button.btn-primary")
    page.wait_for_url(f"**{path}")
    return page


def test_a_firm_applies_for_a_line_reads_why_and_hears_the_lenders_word(watched, product):
    lender = product.party(f"lender {secrets.token_hex(3)}", "lender")
    firm = product.party(f"applicant {secrets.token_hex(3)}")
    page = enter(watched, product, firm, "/firm/credit")
    page.select_option("#apply-lender", str(lender.party))
    page.fill("#apply-limit", "fifty thousand")
    page.click("[data-path='/v1/line-applications'] button")
    assert page.get_attribute("#apply-limit", "aria-invalid") == "true"
    page.fill("#apply-limit", "12,500.50")
    page.fill("#apply-note", "新签两家客户")
    page.locator("[data-path='/v1/line-applications'] button").dblclick()
    row = page.wait_for_selector("[data-application]")
    assert page.locator("[data-application]").count() == 1, "a double click is one application"
    assert "¥12,500.50" in row.inner_text()
    (kept,) = firm.get("/v1/line-applications")["data"]
    assert (kept["asked_fen"], kept["tenor_days"]) == (1_250_050, 45)
    assert kept["state"] == "offered", kept
    desk = enter(watched, product, lender, "/lender/lines", locale="en-GB")
    assert "新签两家客户" in desk.inner_text("[data-application]")
    desk.fill("[data-application] input", "no such customers are known to us")
    desk.click("[data-application] button")
    desk.wait_for_selector("[data-application] .chip.bad")
    page.reload()
    assert "no such customers are known to us" in page.inner_text("[data-application]")
    assert page.locator("[data-application] button").count() == 0
