"""The phone's pages by measure: weight, accessibility, both languages, day and night, small input and bad."""

from __future__ import annotations

import io

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from api.client import plain
from tests.e2e.phone_trip import PIN, Firm, await_step, join, sign

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
MOST_BYTES = 120_000
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def firm(product):
    return Firm(product)


def faults(page) -> list[str]:
    """What axe finds that is serious."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found if one["impact"] in SERIOUS
    ]


def test_the_drivers_app_weighs_at_most_120_kilobytes(watched):
    page = watched.open()
    sizes: dict[str, int] = {}

    def weigh(response):
        if "/v1/" not in response.url:
            sizes[response.url] = int(response.headers.get("content-length", 0))

    page.on("response", weigh)
    page.goto("/driver", wait_until="networkidle")
    page.wait_for_selector("#name")
    assert all(sizes.values()), [url for url, size in sizes.items() if not size]
    assert sum(sizes.values()) <= MOST_BYTES, sorted(sizes.items(), key=lambda one: -one[1])[:8]


@pytest.mark.parametrize(("locale", "scheme"), [("zh-CN", "light"), ("en-GB", "dark")])
def test_the_pages_have_no_serious_fault_by_day_and_night(watched, firm, locale, scheme):
    page = watched.open(locale=locale, color_scheme=scheme, **PHONE)
    page.goto("/driver")
    page.wait_for_selector("#name")
    found = {"welcome": faults(page)}
    me = join(page)
    found["no task"] = faults(page)
    firm.offer(me)
    page.reload()
    await_step(page, "offer")
    found["offer"] = faults(page)
    page.click(".next button.main")
    page.wait_for_selector("dialog")
    found["signing"] = faults(page)
    sign(page)
    await_step(page, "arrive_loading")
    for tab in ("outbox", "me", "money"):
        page.click(f"nav.tabs a[href='#/{tab}']")
        page.wait_for_selector(f"nav.tabs a[href='#/{tab}'][aria-current]")
        found[tab] = faults(page)
    assert {name: said for name, said in found.items() if said} == {}


def test_nothing_on_the_phone_is_wider_than_the_phone(watched, firm):
    for locale in ("zh-CN", "en-GB"):
        page = watched.open(locale=locale, **PHONE)
        me = join(page, name="Alexandros Papadopoulos-Konstantinidis")
        firm.offer(me)
        page.reload()
        await_step(page, "offer")
        for tab in ("", "outbox", "me", "money"):
            page.click(f"nav.tabs a[href='#/{tab}']")
            page.wait_for_selector(f"nav.tabs a[href='#/{tab}'][aria-current]")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, (locale, tab)


def test_two_taps_and_a_step_back_sign_once(watched, firm, product):
    page = watched.open(**PHONE)
    waybill = firm.offer(join(page))
    page.reload()
    await_step(page, "offer")
    page.locator(".next button.main").dblclick()
    page.wait_for_selector("dialog #pin")
    assert page.locator("dialog").count() == 1
    page.fill("dialog #pin", PIN)
    page.locator("dialog button.main").dblclick()
    await_step(page, "arrive_loading")
    page.click("nav.tabs a[href='#/outbox']")
    page.go_back()
    await_step(page, "arrive_loading")
    assert page.locator(".next button.main").inner_text() == "已到达"
    product.settle()
    sent = firm.client.get(f"/v1/waybills/{waybill['id']}")
    assert (sent["stage"], sent["waits_for"]) == ("issued", [])


def test_a_stale_offer_is_told_and_nothing_is_signed(watched, firm, product):
    watched.excused.append("status of 4")
    page = watched.open(**PHONE)
    me = join(page)
    firm.offer(me)
    page.reload()
    await_step(page, "offer")
    page.context.route(
        "**/v1/waybills/*",
        lambda route: route.fulfill(
            status=404, json={"code": "not_found", "detail": "there is no such waybill"}
        ),
    )
    page.click(".next button.main")
    page.wait_for_selector(".next .notice.bad")
    assert page.locator("dialog").count() == 0


def test_a_40_megabyte_photo_is_made_small_and_a_renamed_pdf_is_told_apart(watched, firm, tmp_path):
    content = io.BytesIO()
    Image.linear_gradient("L").resize((4000, 3000)).convert("RGB").save(content, "JPEG")
    heavy = tmp_path / "heavy.jpg"
    heavy.write_bytes(content.getvalue() + bytes(40 * 1024 * 1024 - len(content.getvalue())))
    paper = tmp_path / "paper.jpg"
    paper.write_bytes(b"%PDF-1.7\n" + b"x" * 5_000 + b"\n%%EOF")
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(content.getvalue()[:300])
    page = watched.open(**PHONE)
    me = join(page)
    waybill = firm.offer(me)
    page.reload()
    await_step(page, "offer")
    page.click(".next button.main")
    sign(page)
    await_step(page, "arrive_loading")
    page.click(".next button.main")
    await_step(page, "load")
    page.set_input_files("#photos-loading_photo", [heavy, paper, broken])
    page.wait_for_selector("figure.sent", timeout=30_000)
    trip = plain(firm.client.get(f"/v1/waybills/{waybill['id']}")["trip"])
    (kept,) = firm.client.get("/v1/documents", about=trip.replace("0x", "trp_"))["data"]
    assert (kept["media_type"], kept["width"]) == ("image/jpeg", 1600)
    assert kept["size"] < 1_600_000


def test_a_refused_file_is_named_with_what_to_do(watched, firm, tmp_path):
    paper = tmp_path / "paper.jpg"
    paper.write_bytes(b"%PDF-1.7\n" + b"x" * 5_000 + b"\n%%EOF")
    page = watched.open(locale="en-GB", **PHONE)
    me = join(page)
    firm.offer(me)
    page.reload()
    await_step(page, "offer")
    page.click(".next button.main")
    sign(page)
    await_step(page, "arrive_loading")
    page.click(".next button.main")
    await_step(page, "load")
    page.set_input_files("#photos-loading_photo", paper)
    page.wait_for_selector(".next .notice.bad")
    assert "paper.jpg" in page.inner_text(".next .notice.bad")
    assert "no photo" in page.inner_text(".next .notice.bad")


def test_easy_and_differing_pins_are_refused_with_a_sentence(watched):
    page = watched.open("/driver", **PHONE)
    page.fill("#name", "张三")
    for pin, again, said in (
        ("123", "123", "PIN 是 6 位数字"),
        ("111111", "111111", "太好猜"),
        (PIN, "730195", "不一样"),
    ):
        page.fill("#pin-new", pin)
        page.fill("#pin-again", again)
        page.click("form.welcome button.main")
        assert said in page.inner_text("#welcome-said")
