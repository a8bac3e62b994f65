"""Receipts without an account: scanned, enrolled with the consignor's code, signed once, hashed again."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import io
import secrets

import pytest
from PIL import Image

from api.client import ClientError, plain
from chain.clock import rfc3339
from chain.document import document_hash
from tests.integration.api.system import key, plan

PNG = io.BytesIO()
Image.new("RGBA", (40, 20)).save(PNG, "PNG")
DRAWING = PNG.getvalue()
JPEG = io.BytesIO()
Image.new("RGB", (60, 40), "brown").save(JPEG, "JPEG")


@pytest.fixture(scope="module", autouse=True)
def road(firms):
    firms["consignor"].post(
        "/v1/routes", {"name": "N-W", "origin": "北站", "destination": "西站", "plan": plan()}
    )


@pytest.fixture
def trip(system, firms):
    """A loaded trip whose consignee has no account; its link's token."""
    number = secrets.token_hex(4)
    consignor, driver = firms["consignor"], firms["driver"]
    consignee = consignor.post("/v1/consignees", {"name_zh": "西站货场", "name_en": "West yard"})
    now = system.now().replace(microsecond=0)
    leaf = consignor.post(
        "/v1/waybills",
        {
            "issuer": str(consignor.party), "performer": str(driver.party),
            "consignee": consignee["id"], "shipping_note": f"R-{number}", "goods": "糖",
            "quantity_milli": 12_000, "freight_fen": 72_000, "term_days": 30,
            "load_from": rfc3339(now), "deliver_by": rfc3339(now + dt.timedelta(hours=6)),
            "serial": "0101", "plate": f"苏A·{number[:5]}", "terminal": f"139{int(number, 16) % 10**8:08d}",
            "route": "N-W",
        },
    )  # fmt: skip
    for side in (consignor, driver):
        side.sign_waybill(leaf["id"])
    system.settle()
    trip = plain(driver.get(f"/v1/waybills/{leaf['id']}")["trip"])
    driver.act(f"/v1/deliveries/{trip}/loading")
    system.settle()
    made = driver.post(f"/v1/deliveries/{trip}/receipt-link")
    return {
        "id": trip, "token": made["url"].rsplit("/", 1)[1], "made": made,
        "code": consignor.get(f"/v1/deliveries/{trip}/receipt-code")["code"],
        "phone": system.client(f"gate {number}"), "key": key(f"gate {number}").address,
    }  # fmt: skip


def ask(trip, **change):
    body = {
        "outcome": "confirmed", "accepted_milli": 12_000, "condition": 0, "signer": "李四",
        "key": trip["key"], "drawing_sha256": "0x" + hashlib.sha256(DRAWING).hexdigest(),
    }  # fmt: skip
    return trip["phone"].post(f"/v1/receipts/{trip['token']}/forms", body | change)


def signed(trip, forms, **change):
    phone = trip["phone"]
    body = phone.sign(forms["to_sign"]) | {
        "content": forms["content"],
        "salt": forms["salt"],
        "drawing": base64.b64encode(DRAWING).decode(),
        "code": trip["code"],
        "enrolment": phone.sign(forms["enrolment"]) | {"profile_salt": forms["profile_salt"]},
    }
    return body | change


def refusal(call, *args, **options):
    with pytest.raises(ClientError) as error:
        call(*args, **options)
    return error.value


def test_a_consignee_without_account_signs_once_and_everybody_can_hash_it_again(system, trip):
    phone, path = trip["phone"], f"/v1/receipts/{trip['token']}"
    shown = phone.get(path)
    assert (shown["state"], shown["goods"], shown["needs_code"]) == ("open", "糖", True)
    assert "<svg" in trip["made"]["qr_svg"]
    assert not {"freight_fen", "paid_fen"} & set(shown), "a price is none of the gate's business"
    photo = phone.post_file(f"{path}/photos", JPEG.getvalue(), content_type="image/jpeg")
    forms = ask(trip, accepted_milli=11_000, note="破一袋", photos=[photo["sha256"]])
    assert forms["content"]["condition"] == 2, "short by itself"
    body = signed(trip, forms)
    phone.post(f"{path}/signature", body, once="tap")
    phone.post(f"{path}/signature", body, once="tap")  # the second tap
    again = refusal(phone.post, f"{path}/signature", signed(trip, forms))
    assert (again.status, again.reason) == (409, "link_used")
    system.settle()
    shown = phone.get(path)
    assert (shown["state"], shown["consignee_key"]) == ("used", trip["key"])
    paper = phone.get(f"/v1/receipt-papers/{shown['paper']['document']}")
    assert paper["on_chain"]
    assert document_hash(paper["content"], bytes.fromhex(paper["salt"][2:])) == paper["document"]
    assert paper["content"]["photos"] == [photo["sha256"]]
    for lang in ("zh", "en"):
        path = f"/v1/receipt-papers/{paper['document']}/receipt.pdf"
        printed = system.http.get(path, params={"lang": lang})
        assert printed.headers["content-type"] == "application/pdf"
        assert printed.content.startswith(b"%PDF-1.")
        assert b"pdfaid" in printed.content


def test_the_driver_cannot_sign_for_the_consignee(firms, trip):
    assert refusal(firms["driver"].get, f"/v1/deliveries/{trip['id']}/receipt-code").status == 403
    forms = ask(trip)
    path = f"/v1/receipts/{trip['token']}/signature"
    for _ in range(5):
        wrong = refusal(trip["phone"].post, path, signed(trip, forms, code="000000"))
        assert wrong.reason == "receipt_code_wrong"
    locked = refusal(trip["phone"].post, path, signed(trip, forms))
    assert (locked.status, locked.reason) == (429, "receipt_code_locked")


def test_a_refusal_holds_the_trip(system, firms, trip):
    forms = ask(trip, outcome="refused", accepted_milli=0, note="货不对")
    assert forms["to_sign"]["primaryType"] == "Dispute"
    trip["phone"].post(f"/v1/receipts/{trip['token']}/signature", signed(trip, forms))
    system.settle()
    shown = firms["driver"].get(f"/v1/trips/{trip['id']}")
    assert (shown["state"], shown["disputed"]) == ("held", True)


def test_a_link_expires_and_a_new_one_closes_the_old(system, firms, trip):
    firms["driver"].post(f"/v1/deliveries/{trip['id']}/receipt-link")
    gone = refusal(ask, trip)
    assert (gone.status, gone.reason) == (410, "link_gone")
    assert trip["phone"].get(f"/v1/receipts/{trip['token']}")["state"] == "gone"
    assert refusal(trip["phone"].get, "/v1/receipts/" + "x" * 43).status == 404


def test_what_comes_back_must_be_what_was_prepared(firms, trip):
    forms = ask(trip)
    path = f"/v1/receipts/{trip['token']}/signature"
    changed = forms["content"] | {"accepted_milli": 1}
    for change in (
        {"content": changed},
        {"content": forms["content"] | {"goods": "金"}},
        {"salt": "0x" + "00" * 32},
        {"drawing": base64.b64encode(b"\x89PNG\r\n\x1a\n other").decode()},
        {"drawing": None},
        {"enrolment": None},
    ):
        assert refusal(trip["phone"].post, path, signed(trip, forms, **change)).status == 422
    stranger = firms["stranger"].post
    assert refusal(stranger, f"/v1/deliveries/{trip['id']}/receipt-link").status == 404
    assert (
        refusal(
            stranger,
            f"/v1/deliveries/{trip['id']}/steps",
            {"step": "departed", "at": rfc3339(dt.datetime(2026, 1, 26, 15, 51, tzinfo=dt.UTC))},
        ).status
        == 404
    )


def test_a_drivers_jobs_tell_what_he_gets_and_keep_his_word_once(system, firms, trip):
    driver = firms["driver"]
    at = rfc3339(system.now())
    path = f"/v1/deliveries/{trip['id']}/steps"
    first = driver.post(path, {"step": "arrived_unloading", "at": at}, once="s1")
    later = rfc3339(system.now() + dt.timedelta(minutes=3))
    assert driver.post(path, {"step": "arrived_unloading", "at": later})["at"] == first["at"]
    task = next(one for one in driver.get("/v1/driver/tasks")["data"] if one["trip"] == trip["id"])
    assert (task["net_fen"], task["trip_state"], task["signed"]) == (72_000, "loaded", True)
    assert set(task["steps"]) == {"arrived_unloading"}
    assert [one["stage"] for one in task["money"]] == ["signed", "attested", "delivered"]


def test_a_photo_must_be_a_photo(trip):
    path = f"/v1/receipts/{trip['token']}/photos"
    for content in (b"%PDF-1.4\n%%EOF", b"\xff\xd8\xff nonsense", b""):
        wrong = refusal(trip["phone"].post_file, path, content, content_type="image/jpeg")
        assert wrong.reason == "media_refused"
