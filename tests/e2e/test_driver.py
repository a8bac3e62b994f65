"""The driver's phone: from the first visit to the money, offline in between, in real Chromium."""

from __future__ import annotations

import pytest
from PIL import Image

from api.client import plain
from tests.e2e.phone_trip import Firm, await_step, join, sign

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}


@pytest.fixture(scope="module")
def firm(product):
    return Firm(product)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "goods.jpg"
    Image.linear_gradient("L").resize((2400, 1800)).convert("RGB").save(path, "JPEG")
    return path


def test_a_driver_goes_from_his_first_visit_to_the_receipt(watched, firm, product, photo):
    page = watched.open(**PHONE)
    me = join(page)
    waybill = firm.offer(me)
    page.evaluate("location.reload()")
    await_step(page, "offer")
    assert "¥720.00" in page.inner_text(".pay")
    page.click(".next button.main")
    assert "¥720.00" in page.inner_text("dialog")
    sign(page)
    await_step(page, "arrive_loading")
    page.click(".next button.main")
    await_step(page, "load")
    page.set_input_files("#photos-loading_photo", photo)
    page.wait_for_selector("figure.sent")
    page.click(".next button.main")
    sign(page)
    await_step(page, "depart")
    page.click(".next button.main")
    await_step(page, "arrive")
    page.click(".next button.main")
    await_step(page, "receipt")
    page.click(".next button.main")
    page.wait_for_selector("dialog img.qr")
    trip = plain(firm.client.get(f"/v1/waybills/{waybill['id']}")["trip"])
    shown = firm.client.get("/v1/documents", about=trip.replace("0x", "trp_"))["data"]
    assert [one["purpose"] for one in shown] == ["loading_photo"]
    assert max(shown[0]["width"], shown[0]["height"]) == 1600
