"""The whole product as a newcomer meets it: one command, real positions, money at the end."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.client import plain
from api.portals.views import BEIJING
from deploy.demo.cast import drivers, party_id
from deploy.demo.live import heed_warnings
from deploy.demo.live_road import RUNS, compose
from deploy.demo.roads import load_runs
from deploy.demo.terminals import Terminals
from deploy.demo.world import DRIVER_FEN, MIDDLE_FEN, ROOT_FEN, phone, plate
from tests.e2e.conftest import Watched
from tests.e2e.demo_story import served_demo
from tests.e2e.phone_trip import await_step, sign

ROOT = Path(__file__).resolve().parents[2]
PHONE = {
    "viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True,
}  # fmt: skip
LONG_MS = 150_000
"""For what the demo's processes do together; a busy machine takes its time."""
LABELS = (
    "contracts", "doors", "parties", "waybills", "signatures", "line", "advances", "road", "payouts",
    "repayment",
)  # fmt: skip


def demo(var: Path, *arguments: str, seconds: int = 420) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("YUNDAN_")}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", "demo", "--no-serve", *arguments],
        cwd=ROOT,
        env=environment | {"YUNDAN_VAR": str(var)},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def trips(var: Path) -> list[dict]:
    told = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "trips", "--json"],
        cwd=ROOT,
        env=os.environ | {"YUNDAN_VAR": str(var)},
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return json.loads(told.stdout)


def check_story(told: str, known: list[dict]) -> None:
    paid = [trip for trip in known if trip["released_fen"] > 0]
    assert len(paid) >= 8
    assert all(trip["verdict"] == "pass" and trip["state"] == "delivered" for trip in paid)
    assert {trip["released_fen"] for trip in paid} == {72_000}
    unpaid = [trip for trip in known if trip["released_fen"] == 0]
    reasons = {reason for trip in unpaid for reason in trip["reasons"]}
    assert {"fail:short_of_gate", "fail:teleport", "review:off_route", "shortage"} <= reasons
    assert all(trip["reasons"] for trip in unpaid)
    assert "the children's freight comes to more than the parent's" in told
    assert re.search(r"Chain, ledger and token at block \d+: they agree", told)
    assert "balanced" in told
    assert "NOT BALANCED" not in told


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The demo, played and served once for what is told here."""
    with served_demo(tmp_path_factory.mktemp("demo")) as made:
        yield made


@pytest.fixture
def watched(browser, served):
    """Opens pages of the demo; fails on any request to another host and any error in the console."""
    opened = Watched(browser, served.url)
    opened.excused.append("GL Driver Message")
    yield opened
    opened.close()


def test_the_demo_pays_real_trips_and_says_why_the_others_were_not_paid(served):
    check_story(served.told, trips(served.demo.folder.parent))
    assert re.search(r"p50 \d+\.\d\d s, p95 \d+\.\d\d s \((\d+) receipts\)", served.told)
    assert re.search(r"bank's acceptance of the payout: p50 .* \((8) payouts\)", served.told)


def sign_at_the_gate(page, link: str, code: str) -> None:
    """The consignee, without an account: everything came, signed by a finger."""
    page.goto(urlsplit(link).path)
    page.wait_for_selector("html[data-ready]")
    page.check("input[value=confirmed]", force=True)
    page.fill("#signer", "李四")
    page.fill("#code", code)
    page.locator("canvas").scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    for step in range(1, 8):
        page.mouse.move(box["x"] + 40 + step * 20, box["y"] + 40 + (step % 2) * 30)
    page.mouse.up()
    page.click(".page > button.main")
    page.click("dialog button.main")
    page.wait_for_selector('.stamp[data-on-chain="true"]', timeout=LONG_MS)


def test_the_drive_button_plays_a_truck_until_the_money_lands_while_one_watches(served, watched):
    page = watched.open("/", viewport={"width": 1440, "height": 900})
    page.click("form[action='/demo/drives'] button")
    page.wait_for_url("**/demo/drives/*")
    truck = page.locator("#map .truck >> xpath=..")

    def drives() -> bool:
        assert page.locator("#failed").is_hidden(), page.inner_text("#failed")
        return int(page.inner_text("#fixes")) > 3

    served.wait(drives, seconds=LONG_MS / 1000)
    first = truck.get_attribute("transform")
    assert truck.get_attribute("visibility") == "visible"
    served.wait(lambda: truck.get_attribute("transform") != first)
    page.wait_for_selector("#sign:not([hidden]), #failed:not([hidden])", timeout=LONG_MS)
    assert page.locator("#failed").is_hidden(), page.inner_text("#failed")
    assert page.locator("#landed").is_hidden(), "no money before the receipt"
    assert page.inner_text("#clock") == "00:00:00"
    phone = watched.open(**PHONE)
    sign_at_the_gate(phone, page.get_attribute("#sign", "href"), page.inner_text("#code"))
    page.wait_for_selector("#landed:not([hidden])", timeout=LONG_MS)
    assert "720.00" in page.inner_text("#paid")
    assert page.locator("#money li.done").count() == page.locator("#money li").count()
    page.click("#trip-link a")
    page.wait_for_url("**/trips/0x*")
    assert page.locator(".chip:has-text('司机已收款')").count() >= 1


@pytest.mark.deep
def test_one_trip_goes_through_all_four_faces_to_the_lenders_pack(served, watched, tmp_path):
    watched.excused += ["status of 409", "status of 404"]
    world, pin = served.world, "730194"
    note = f"STORY-{secrets.token_hex(3).upper()}"
    driver = drivers()[0].handle

    # the firm writes the chain of waybills down and signs its own two sides with its wallet
    firm = served.enter(watched, "carrier", "/firm/new", viewport={"width": 1440, "height": 900})
    served.give_wallet(firm, "carrier")
    firm.reload()
    consignee = world.desk("carrier").client.post(
        "/v1/consignees", {"name_zh": "西站货场", "name_en": "West freight station"}
    )["id"]
    now = world.now().astimezone(BEIJING).replace(second=0, microsecond=0)
    for name, value in {
        "shipping_note": note, "goods": "白砂糖", "quantity": "12", "consignee": consignee,
        "load_from": f"{now - dt.timedelta(minutes=1):%Y-%m-%dT%H:%M}",
        "deliver_by": f"{now + dt.timedelta(hours=14):%Y-%m-%dT%H:%M}", "term_days": "30",
        "first": str(party_id("consignor")), "serial": "0101", "plate": plate("7990"), "terminal": phone("7990"),
    }.items():  # fmt: skip
        firm.fill(f"#f-{name}", value)
    firm.click("[data-add]")
    for tier, (handle, freight) in enumerate(
        (("carrier", "1000"), ("subcontractor", "900.00"), (driver, "720.00"))
    ):
        firm.fill(f"#performer-{tier}", str(party_id(handle)))
        firm.fill(f"#freight-{tier}", freight)
    firm.select_option("#f-route", "A-C")
    firm.click("[data-send]")
    firm.wait_for_url("**/firm")
    drafts = world.desk("carrier").get("/v1/waybills", stage="draft")["data"]
    own = [one for one in drafts if one["papers"]["shipping_note"] == note]
    shown = {one["freight_fen"]: one["id"] for one in own}
    root, middle, leaf = shown[ROOT_FEN], shown[MIDDLE_FEN], None
    served.sign(firm, f"/v1/waybills/{root}")
    served.sign(firm, f"/v1/waybills/{middle}")
    leaf = next(
        one["id"]
        for one in world.desk("subcontractor").get("/v1/waybills", stage="draft")["data"]
        if one["papers"]["shipping_note"] == note and one["freight_fen"] == DRIVER_FEN
    )
    world.desk("consignor").client.sign_waybill(root)  # their own servers sign what is theirs
    for waybill in (middle, leaf):
        world.desk("subcontractor").client.sign_waybill(waybill)

    # the driver takes his seat on a phone, sees the pay before he accepts, and signs with his PIN
    cab = watched.open("/driver", **PHONE)
    cab.click("button:has-text('座位')")
    cab.fill("dialog #seat-pin", pin)
    cab.fill("dialog #seat-again", pin)
    cab.click("dialog button.main")
    cab.wait_for_selector("nav.tabs", timeout=LONG_MS)
    cab.goto(f"/driver#/task/{leaf}")  # this trip, whatever else he has
    await_step(cab, "offer")
    assert "¥720.00" in cab.inner_text(".pay")
    cab.click(".next button.main")
    sign(cab, pin)
    carrier = world.desk("carrier")
    served.wait(lambda: carrier.get(f"/v1/waybills/{leaf}")["stage"] == "issued")
    trip = plain(carrier.get(f"/v1/waybills/{leaf}")["trip"])

    # the borrower's server asks; the debtor and the lender sign on their pages, the driver on his phone
    borrower = world.desk("subcontractor").client
    asked = {
        "line": world.line, "waybill": middle, "trip": trip, "principal_fen": DRIVER_FEN,
        "payees": [{"party": str(party_id(driver)), "waybill": leaf, "account": world.accounts[driver], "amount_fen": DRIVER_FEN}],
    }  # fmt: skip
    heed_warnings(world)
    decision = borrower.post("/v1/advances/decision", asked)
    assert decision["to_sign"] is not None, decision["reasons"]
    advance = plain(borrower.post("/v1/advances", borrower.sign(decision["to_sign"]))["id"])
    served.wait(lambda: borrower.get(f"/v1/advances/{advance}")["debtor"] != "")
    served.sign(firm, f"/v1/advances/{advance}/acknowledgement")
    await_step(cab, "consent")
    cab.click(".next button.main")
    sign(cab, pin)
    lender = served.enter(
        watched, "lender", "/lender/lines", viewport={"width": 1440, "height": 900}
    )
    served.give_wallet(lender, "lender")
    served.wait(
        lambda: borrower.get(f"/v1/advances/{advance}")["payees"][0]["consented_at"] is not None
    )
    lender.reload()
    lender.click(f"a[href='/sign?form=/v1/advances/{advance}/approval']")
    lender.click("[data-wallet]:not([aria-disabled])")
    lender.wait_for_selector("[data-done]:not([hidden])", timeout=20_000)
    served.wait(lambda: borrower.get(f"/v1/advances/{advance}")["state"] == "approved")

    # he loads; the truck's own terminal tells the road; the attestors look; he shows his code
    await_step(cab, "arrive_loading")
    cab.click(".next button.main")
    await_step(cab, "load")
    cab.click(".next button.main")
    sign(cab, pin)
    served.wait(lambda: carrier.get(f"/v1/trips/{trip}")["state"] == "loaded")
    drive_recorded(world)
    served.wait(lambda: attested(world, trip), seconds=180)
    for step in ("depart", "arrive"):
        await_step(cab, step)
        cab.click(".next button.main")
    await_step(cab, "receipt")
    cab.click(".next button.main")
    cab.wait_for_selector("dialog img.qr")
    link = world.desk(driver).client.post(f"/v1/deliveries/{trip}/receipt-link")["url"]
    code = world.desk("consignor").get(f"/v1/deliveries/{trip}/receipt-code")["code"]
    sign_at_the_gate(watched.open(**PHONE), link, code)

    # the money lands on the driver's clock
    cab.keyboard.press("Escape")
    cab.goto("/driver#/money")
    cab.reload()
    cab.wait_for_selector(f'.money[data-trip="{trip}"] [data-clock=stopped]', timeout=LONG_MS)
    assert "¥720.00" in cab.inner_text("main")

    # the lender sees the loan, hashes the evidence again, and takes the pack away to verify it without us
    lender.goto(f"/lender/loans/{advance}")
    assert "720.00" in lender.inner_text(".figures")
    lender.click(f"a[href='/trips/{trip}/evidence']")
    lender.wait_for_url("**/evidence")
    lender.wait_for_selector("[data-map][data-ready]", timeout=LONG_MS)
    lender.click("[data-run]")
    lender.wait_for_selector("[data-path]:not([hidden])", timeout=LONG_MS)
    assert lender.locator("ul.verify li[data-holds=false]").count() == 0
    assert lender.locator("ul.verify li[data-holds=true]").count() >= 6
    pack = tmp_path / "pack.zip"
    for arguments in (
        ("export", trip, "-o", str(pack)),
        ("verify", str(pack), "--rpc", served.demo.chain.url),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "audit", *arguments],
            cwd=ROOT, env=os.environ | served.demo.environment(), capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def drive_recorded(world) -> None:
    """Half an hour of road over the gateway, the clock going with it."""
    run = load_runs()[RUNS[1]]
    fixes = compose(run, 990, int(world.now().timestamp()) + 20)
    terminals = Terminals("127.0.0.1", int(world.demo.environment()["YUNDAN_GATEWAY_PORT"]))
    try:
        for first in range(0, len(fixes), 12):
            batch = fixes[first : first + 12]
            world.move_clock(dt.datetime.fromtimestamp(batch[-1].time + 2, dt.UTC))
            terminals.send({phone("7990"): batch})
    finally:
        terminals.close()


def attested(world, trip: str) -> bool:
    """Whether two attestors have signed; a parked truck is looked at as the clock goes on."""
    world.move_clock(world.now() + dt.timedelta(seconds=20))
    said = world.desk("carrier").get(f"/v1/trips/{trip}")["attestations"]
    return sum(bool(one["on_chain"]) for one in said) >= 2
