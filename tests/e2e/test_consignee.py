"""The consignee's phone without an account: shown, signed once, hashed again, in real Chromium."""

from __future__ import annotations

import datetime as dt
import secrets

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from api.client import plain
from chain.clock import rfc3339
from tests.e2e.phone_trip import Firm

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
READY = "html[data-ready]"
DONE = ".stamp[data-on-chain]"


@pytest.fixture(scope="module")
def firm(product):
    return Firm(product)


@pytest.fixture(scope="module")
def damage(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "torn.jpg"
    Image.linear_gradient("L").resize((2000, 1500)).convert("RGB").save(path, "JPEG")
    return path


class Gate:
    """A loaded trip before its consignee's gate: the link that the driver shows, the code the consignor tells."""

    def __init__(self, product, firm, **change) -> None:
        self.driver = product.party(f"gate driver {secrets.token_hex(3)}", "driver")
        waybill = firm.offer(str(self.driver.party), **change)
        self.driver.sign_waybill(waybill["id"])
        product.settle()
        self.trip = plain(self.driver.get(f"/v1/waybills/{waybill['id']}")["trip"])
        self.driver.act(f"/v1/deliveries/{self.trip}/loading")
        product.settle()
        self.code = firm.code(self.trip)
        self.path = self.new_link()

    def new_link(self) -> str:
        """The path of a new link; it closes the one before."""
        url = self.driver.post(f"/v1/deliveries/{self.trip}/receipt-link")["url"]
        return "/receipt/" + url.rsplit("/", 1)[1]


def show(page, path: str) -> None:
    page.goto(path)
    page.wait_for_selector(READY)


def draw(page) -> None:
    """A signature in the box, by the finger's path."""
    page.locator("canvas").scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    for step in range(1, 8):
        page.mouse.move(box["x"] + 40 + step * 20, box["y"] + 40 + (step % 2) * 30)
    page.mouse.up()


def fill_in(page, gate) -> None:
    """A shortage of one and a half tonnes, everything but the last tap."""
    page.check("input[value=exception]", force=True)
    page.fill("#accepted", "10.5")
    page.fill("#note", "破了三袋")
    page.fill("#signer", "李四")
    page.fill("#code", gate.code)
    draw(page)


def sign(page) -> None:
    page.click(".page > button.main")
    page.click("dialog button.main")


def faults(page) -> list[str]:
    """What axe finds that is serious."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize(
    "look",
    [{"locale": "zh-CN"}, {"locale": "en-GB", "color_scheme": "dark"}],
    ids=["Chinese by day", "English by night"],
)
def test_a_shortage_is_photographed_signed_and_hashed_again(watched, product, firm, damage, look):
    gate = Gate(product, firm)
    page = watched.open(**look, **PHONE)
    show(page, gate.path)
    told = page.inner_text("main")
    assert "白砂糖" in told
    assert "苏A·" in told
    assert "720" not in told, "a price is none of the gate's business"
    found = {"asked": faults(page)}
    fill_in(page, gate)
    page.set_input_files("#photos", damage)
    page.wait_for_selector("figure.sent")
    found["filled in"] = faults(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click(".page > button.main")
    page.wait_for_selector("dialog")
    assert "10.5" in page.inner_text("dialog")
    found["sure"] = faults(page)
    page.click("dialog button.main")
    page.wait_for_selector('.stamp[data-on-chain="true"]', timeout=20_000)
    assert "10.5" in page.inner_text(".facts")
    found["receipt"] = faults(page)
    page.click(".two-links a.main")
    page.wait_for_url("**/verify/0x*")
    page.wait_for_selector('[data-holds="true"] >> nth=1')
    assert page.locator('[data-holds="false"]').count() == 0
    found["verified"] = faults(page)
    assert {name: said for name, said in found.items() if said} == {}
    product.settle()
    shown = firm.client.get(f"/v1/trips/{gate.trip}")
    assert (shown["accepted_milli"], shown["loaded_milli"]) == (10_500, 12_000)
    kept = firm.client.get("/v1/documents", about=gate.trip.replace("0x", "trp_"))["data"]
    assert [one["purpose"] for one in kept] == ["damage_photo"]


def test_neither_two_taps_nor_back_nor_a_second_tab_sign_twice(watched, product, firm):
    watched.excused.append("status of 409")
    watched.excused.append("status of 410")
    gate = Gate(product, firm)
    page = watched.open(**PHONE)
    show(page, gate.path)
    other = page.context.new_page()
    show(other, gate.path)
    fill_in(other, gate)
    page.bring_to_front()
    fill_in(page, gate)
    page.locator(".page > button.main").dblclick()
    assert page.locator("dialog").count() == 1
    page.locator("dialog button.main").dblclick()
    page.wait_for_selector(DONE)
    number = page.locator(".facts .mono").inner_text()
    other.bring_to_front()
    sign(other)
    other.wait_for_selector(DONE)
    assert other.locator(".facts .mono").inner_text() == number, "the receipt that stands is shown"
    page.bring_to_front()
    page.click(".two-links a.main")
    page.wait_for_url("**/verify/0x*")
    page.go_back()
    page.wait_for_selector(DONE)
    page.reload()
    page.wait_for_selector(DONE)
    assert page.locator("canvas").count() == 0, "there is nothing more to sign"
    product.settle()
    assert firm.client.get(f"/v1/trips/{gate.trip}")["accepted_milli"] == 10_500
    told = firm.client.get(f"/v1/trips/{gate.trip}")["timeline"]
    assert [one["event"] for one in told].count("DeliveryConfirmed") == 1


def test_what_is_missing_is_asked_for_and_a_wrong_code_signs_nothing(watched, product, firm):
    watched.excused.append("status of 4")
    gate = Gate(product, firm)
    page = watched.open(**PHONE)
    show(page, gate.path)
    page.check("input[value=confirmed]", force=True)
    for name, value, asked in (
        ("signer", "", "姓名"),
        ("signer", "李四", "6 位收货码"),
        ("code", f"{(int(gate.code) + 1) % 1_000_000:06d}", "签名"),
    ):
        page.fill(f"#{name}", value)
        page.click(".page > button.main")
        assert asked in page.inner_text(".said")
    draw(page)
    sign(page)
    page.wait_for_selector(".said .notice.bad")
    assert "收货码不对" in page.inner_text(".said")
    assert page.input_value("#signer") == "李四", "what was written is still there"
    page.fill("#code", gate.code)
    sign(page)
    page.wait_for_selector(DONE)


def test_links_that_are_replaced_expired_or_unknown_say_so(watched, product, firm):
    watched.excused.append("status of 404")
    now = product.now()
    gate = Gate(product, firm, deliver_by=rfc3339(now + dt.timedelta(hours=1)))
    page = watched.open(**PHONE)
    old, gate.path = gate.path, gate.new_link()
    show(page, old)
    assert "这个签收码已失效" in page.inner_text("h1")
    show(page, "/receipt/" + "x" * 43)
    assert page.locator(".stamp.bad").count() == 1
    show(page, gate.path)
    page.wait_for_selector("canvas")
    # the clock goes on while the form stands open: what is sent then is refused and told
    fill_in(page, gate)
    watched.excused.append("status of 410")
    product.container.local.advance_to(now + dt.timedelta(hours=26))
    product.settle()
    sign(page)
    page.wait_for_selector(".stamp.warn")
    assert "这个签收码已失效" in page.inner_text("h1")
    assert "请司机再出示" in page.inner_text(".stamp")
    assert faults(page) == []
    assert firm.client.get(f"/v1/trips/{gate.trip}")["state"] == "loaded"
