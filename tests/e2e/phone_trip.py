"""Trips for the phone's tests: a firm that offers them, and a truck that can be driven at once."""

from __future__ import annotations

import datetime as dt
import secrets

from api.client import plain
from chain.clock import rfc3339
from tests.integration.api.system import plan

PIN = "730194"


class Firm:
    """A consignor who hires drivers directly: one waybill a trip, a consignee without an account."""

    def __init__(self, product) -> None:
        self.product = product
        self.word = f"consignor {secrets.token_hex(3)}"
        self.client = product.party(self.word, "consignor")
        self.client.post(
            "/v1/routes", {"name": "N-W", "origin": "北站", "destination": "西站", "plan": plan()}
        )

    def offer(self, driver: str, **change) -> dict:
        """A waybill signed by the firm, waiting for a driver."""
        waybill = self.draft(driver, **change)
        self.client.sign_waybill(waybill["id"])
        return waybill

    def draft(self, driver: str, **change) -> dict:
        """A waybill that nobody has signed."""
        number = secrets.token_hex(4)
        consignee = self.client.post(
            "/v1/consignees", {"name_zh": "西站货场", "name_en": "West freight yard"}
        )
        now = self.product.now().replace(microsecond=0)
        made = self.client.post(
            "/v1/waybills",
            {
                "issuer": str(self.client.party), "performer": driver,
                "consignee": consignee["id"], "shipping_note": f"YD{number.upper()}",
                "goods": "白砂糖", "quantity_milli": 12_000, "freight_fen": 72_000,
                "term_days": 30, "load_from": rfc3339(now - dt.timedelta(minutes=1)),
                "deliver_by": rfc3339(now + dt.timedelta(hours=6)), "serial": "0101",
                "plate": f"苏A·{number[:5].upper()}",
                "terminal": f"139{int(number, 16) % 10**8:08d}", "route": "N-W", **change,
            },
        )  # fmt: skip
        return made | {"id": plain(made["id"])}  # as the phone's own pages name it

    def code(self, trip: str) -> str:
        """The receiving code, as the consignor tells it."""
        return self.client.get(f"/v1/deliveries/{trip}/receipt-code")["code"]


def join(page, name: str = "张师傅", pin: str = PIN) -> str:
    """Makes the phone's key and gives the driver's number."""
    page.goto("/driver")
    page.fill("#name", name)
    page.fill("#pin-new", pin)
    page.fill("#pin-again", pin)
    page.click("form.welcome button.main")
    page.wait_for_selector("nav.tabs")
    return page.evaluate(
        "async () => { const { kept } = await import(document.querySelector('link[href*=\"phone/store.js\"]').href); return kept('party'); }"
    )


def sign(page, pin: str = PIN) -> None:
    """Enters the PIN in the sheet that is open."""
    page.fill("dialog #pin", pin)
    page.click("dialog button.main")
    page.wait_for_selector("dialog", state="detached")


def await_step(page, step: str) -> None:
    """Waits until the task is at a step."""
    page.wait_for_selector(f'article.task[data-step="{step}"]', timeout=30_000)
