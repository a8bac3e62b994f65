"""The driver's phone where the network is bad: nothing is lost, nothing counts twice, and he sees what waits."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from PIL import Image, ImageDraw

from tests.e2e.phone_trip import Firm, await_step, join, sign

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
PHOTOS = 16
CUTS_AN_ACT = 5
NO_NETWORK = "ERR_"  # what Chromium says in the console of a request that was cut


@pytest.fixture(scope="module")
def firm(product):
    return Firm(product)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(PHOTOS):
        picture = Image.new("RGB", (320, 240), (40 + number * 12, 90, 120))
        ImageDraw.Draw(picture).text((20, 20), f"photo {number}", "white")
        picture.save(folder / f"{number}.jpg", "JPEG")
    return sorted(folder.iterdir())


def ready_to_load(page, firm) -> str:
    """A phone whose trip waits to be loaded; gives the trip."""
    firm.offer(join(page))
    page.reload()
    await_step(page, "offer")
    page.click(".next button.main")
    sign(page)
    await_step(page, "arrive_loading")
    return page.get_attribute("article.task", "data-trip")


def waiting(page) -> int:
    """What the badge of the outbox says."""
    badge = page.locator("nav.tabs .badge")
    return int(badge.get_attribute("data-waiting")) if badge.count() else 0


@pytest.mark.parametrize(
    "taken", [2, pytest.param(PHOTOS, marks=pytest.mark.deep)], ids=["thirty-five", "a hundred"]
)
def test_forced_disconnections_lose_nothing_and_send_nothing_twice(
    watched, firm, product, photos, taken
):
    watched.excused += [NO_NETWORK, "status of 422"]  # a clock ahead of the chain's is sent again
    page = watched.open(**PHONE)
    trip = ready_to_load(page, firm)
    other = page.context.new_page()  # a second tab sends from the same outbox
    other.goto("/driver")
    cuts = itertools.count(1)
    cut = {"n": 0}
    lives: dict[str, int] = {}

    def spoil(route):
        """Every act is cut off five times: before it arrives, or after, when its answer is lost."""
        request = route.request
        if request.method != "POST":
            route.abort("internetdisconnected")  # nor is anything seen meanwhile
            return
        key = request.headers["idempotency-key"]
        lives[key] = lives.get(key, 0) + 1
        if lives[key] > CUTS_AN_ACT:
            route.continue_()
            return
        cut["n"] = next(cuts)
        if lives[key] % 2:
            route.fetch()  # it arrives; the phone never hears
        route.abort("connectionreset")

    page.context.route("**/v1/**", spoil)
    page.click(".next button.main")
    await_step(page, "load")
    page.set_input_files("#photos-loading_photo", photos[:taken])
    page.click(".next button.main")
    sign(page)
    await_step(page, "depart")
    page.click(".next button.main")
    await_step(page, "arrive")
    page.click(".next button.main")
    await_step(page, "receipt")
    acts = taken + 5  # three steps, the loading, the consignee's code
    assert waiting(page) > 0, "he sees what waits"

    tabs = itertools.cycle((page, other))

    def all_sent() -> bool:
        # the chain's clock stands between blocks; a loading signed ahead of it waits for the next
        product.container.local.advance_to(product.now() + dt.timedelta(seconds=1))
        next(tabs).evaluate("dispatchEvent(new Event('online'))")  # and there is a network again
        return waiting(page) == 0

    product.wait(all_sent, seconds=240)
    assert cut["n"] >= acts * CUTS_AN_ACT
    assert len(lives) == acts, "every act kept its Idempotency-Key, whichever tab sent it"
    page.context.unroute("**/v1/**")
    kept = firm.client.get("/v1/documents", about=trip.replace("0x", "trp_"))["data"]
    assert len(kept) == len({one["sha256"] for one in kept}) == taken
    product.settle()
    told = firm.client.get(f"/v1/trips/{trip}")
    assert told["state"] == "loaded"
    assert [one["event"] for one in told["timeline"]].count("TripLoaded") == 1
    with product.container.read() as services:
        assert set(services.receipts.list_steps([trip])[trip]) == {
            "arrived_loading",
            "departed",
            "arrived_unloading",
        }
        assert len(services.receipts._links_of(trip)) == 1


def test_the_app_opens_signs_and_queues_without_a_network(watched, firm, product, photos):
    watched.excused.append(NO_NETWORK)
    page = watched.open(**PHONE)
    trip = ready_to_load(page, firm)
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    product.wait(lambda: page.evaluate("navigator.serviceWorker.controller !== null"))
    page.context.set_offline(True)
    page.reload()
    await_step(page, "arrive_loading")
    page.click(".next button.main")
    await_step(page, "load")
    page.set_input_files("#photos-loading_photo", photos[0])
    page.click(".next button.main")
    sign(page)
    await_step(page, "depart")
    assert waiting(page) == 4
    page.click("nav.tabs a[href='#/outbox']")
    page.wait_for_selector(".item")
    assert page.locator(".item.waiting, .item.sending").count() == 4
    page.reload()  # a closed and opened app has lost nothing
    page.wait_for_selector(".item")
    assert waiting(page) == 4
    page.context.set_offline(False)
    page.wait_for_selector("nav.tabs .badge", state="detached", timeout=20_000)
    product.settle()
    assert firm.client.get(f"/v1/trips/{trip}")["state"] == "loaded"


def test_a_session_that_ended_asks_for_the_pin_and_goes_on(watched, firm, product):
    watched.excused += [NO_NETWORK, "status of 401"]
    page = watched.open(**PHONE)
    trip = ready_to_load(page, firm)
    driver = page.get_attribute("article.task", "data-trip")
    assert driver == trip
    with product.container.write() as services:
        leaf = services.records.find_leaf(trip)
        for key in services.keys.list_of(leaf.form.performer):
            services.keys.revoke(key.key_id, leaf.form.performer)
    page.click(".next button.main")  # arrived: it is written down, then refused
    page.wait_for_selector(".notice.warn button")
    await_step(page, "load")
    page.click(".notice.warn button")
    sign(page)
    page.wait_for_selector("nav.tabs .badge", state="detached", timeout=20_000)
    with product.container.read() as services:
        assert "arrived_loading" in services.receipts.list_steps([trip])[trip]


def test_what_the_server_refuses_stays_in_sight_until_a_person_decides(watched, firm, photos):
    watched.excused.append("status of 4")
    page = watched.open(**PHONE)
    ready_to_load(page, firm)
    page.click(".next button.main")
    await_step(page, "load")
    page.context.route(
        "**/v1/documents*",
        lambda route: route.fulfill(
            status=422, json={"code": "media_refused", "detail": "the picture is damaged"}
        ),
    )
    page.set_input_files("#photos-loading_photo", photos[1])
    page.wait_for_selector("figure.failed")
    page.context.unroute("**/v1/documents*")
    page.click("nav.tabs a[href='#/outbox']")
    assert "the picture is damaged" in page.inner_text(".item.failed")
    page.click(".item.failed button:first-of-type")
    page.wait_for_selector(".item.failed", state="detached")
    page.wait_for_selector("nav.tabs .badge", state="detached")
