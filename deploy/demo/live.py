"""The "drive" button: a new trip, from its waybills to the driver's account, while somebody watches.

The demo's process plays every party but those who hold a phone: the consignee always is whoever opens the
signing link, and in mode ``seat`` the driver is whoever took his seat on a phone.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import TYPE_CHECKING, Any

from api.client import ClientError, YundanClient, plain
from api.demo_orders import Orders
from chain.clock import rfc3339
from chain.errors import YundanError
from chain.local_node import LocalNode
from deploy.demo.cast import drivers, party_id
from deploy.demo.live_road import LOADING, RUNS, UNLOADING, compose
from deploy.demo.roads import load_runs
from deploy.demo.terminals import Terminals
from deploy.demo.world import DRIVER_FEN, MIDDLE_FEN, QUANTITY_KG, ROOT_FEN, TERM_DAYS, phone, plate

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.demo.stages import World
    from tracking.fix import Fix

STEP_S, BREATH_S = 30, 0.5
"""Seconds of the drive in one step, and real seconds between two: half an hour in half a minute."""

PATIENCE_S = 60.0
HANDS_S = 900.0
"""How long a person with a phone may take for each act."""


class TooLateError(YundanError):
    """An act of the drive did not happen in time."""

    code = "drive_too_late"


def heed_warnings(world: World) -> None:
    """The lender's people look at what warns of the borrower and close it.

    The story ends a month after its trips, in which the borrower drove nothing: his waybills have fallen, and the
    warning freezes new requests until its owner has acted, as it should.
    """
    lender = world.desk("lender")
    for one in lender.get("/v1/warnings")["data"]:
        lender.client.post("/v1/warnings", {"borrower": one["borrower"], "code": one["code"]})


class LiveDrives:
    """Plays the orders of the demo's pages, one after the other.

    Args:
        world: the demo after its last stage.
        breath_s: real seconds between two steps of a drive.
    """

    def __init__(self, world: World, *, breath_s: float = BREATH_S) -> None:
        self._world = world
        self._breath_s = breath_s
        self._orders = Orders(world.demo.folder)
        self._runs = load_runs()
        self._driver = drivers()[0].handle
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drives", daemon=True)

    def start(self) -> None:
        """Begins to look for orders."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the present step."""
        self._stopping.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopping.wait(0.3):
            for name, order in self._orders.list_waiting():
                try:
                    if order["kind"] == "seat":
                        self._give_seat(name)
                    else:
                        self._play(name, order)
                except YundanError as error:
                    self._orders.tell(name, stage="failed", error=str(error))
                if self._stopping.is_set():
                    return

    def _give_seat(self, name: str) -> None:
        """The demo driver's key, for the phone of whoever plays him: in a demo every key is on this machine."""
        member = drivers()[0]
        self._orders.tell(
            name,
            stage="done",
            party=str(party_id(member.handle)),
            name_zh=member.name_zh,
            name_en=member.name_en,
            key="0x" + self._world.demo.keys.secret(member.handle),
        )

    # -- one drive --------------------------------------------------------------------------------

    def _play(self, name: str, order: dict[str, Any]) -> None:
        seat = order.get("mode") == "seat"
        number = int(order["number"])
        self._orders.tell(name, stage="contract", begun=time.monotonic())
        run = self._runs[RUNS[number % len(RUNS)] if not seat else RUNS[0]]
        now = int(self._world.now().timestamp())
        waybills, trip = self._contract(name, number, now, run)
        self._orders.tell(name, trip=trip, waybill=waybills[-1])
        self._sign(waybills, seat=seat)
        self._orders.tell(name, stage="advance")
        advance = self._advance(name, waybills, trip, seat=seat)
        self._orders.tell(name, stage="loading", advance=advance)
        self._load(name, trip, seat=seat)
        self._orders.tell(name, stage="road")
        fixes = compose(run, number, int(self._world.now().timestamp()) + 20)
        self._drive(number, fixes)
        self._orders.tell(name, stage="arrived")
        self._await_word(trip)
        self._offer_receipt(name, trip, seat=seat)
        self._await_money(name, trip)

    def _contract(self, name: str, number: int, now: int, run: list[Fix]) -> tuple[list[str], str]:
        """Three tiers of one shipment, down to the driver; the consignee has no account."""
        carrier = self._world.desk("carrier")
        consignee = carrier.client.post(
            "/v1/consignees",
            {"name_zh": "西站货场 (扫码签收)", "name_en": "West freight station (by QR)"},
            once=f"{name}.consignee",
        )["id"]
        begins = dt.datetime.fromtimestamp(now - 60, dt.UTC)
        ends = begins + dt.timedelta(seconds=2 * (run[-1].time - run[0].time), hours=12)
        chain = ("consignor", "carrier", "subcontractor", self._driver)
        vehicle = f"7{number:03d}"
        ids: list[str] = []
        for tier, price in enumerate((ROOT_FEN, MIDDLE_FEN, DRIVER_FEN)):
            draft: dict[str, Any] = {
                "parent": ids[-1] if ids else None,
                "issuer": str(party_id(chain[tier])),
                "performer": str(party_id(chain[tier + 1])),
                "consignee": consignee,
                "shipping_note": f"LIVE-{name[:6].upper()}",
                "goods": "白砂糖",
                "quantity_milli": QUANTITY_KG,
                "freight_fen": price,
                "load_from": rfc3339(begins),
                "deliver_by": rfc3339(ends),
                "term_days": TERM_DAYS,
            }
            if tier == 2:
                draft |= {
                    "serial": "0101",
                    "plate": plate(vehicle),
                    "terminal": phone(vehicle),
                    "route": f"{LOADING}-{UNLOADING}",
                }
            ids.append(
                carrier.client.post("/v1/waybills", draft, once=f"{name}.waybill.{tier}")["id"]
            )
        shown = carrier.get(f"/v1/waybills/{ids[-1]}")
        return ids, plain(shown["trip"])

    def _sign(self, waybills: list[str], *, seat: bool) -> None:
        sides = ("consignor", "carrier", "subcontractor", self._driver)
        for tier, waybill in enumerate(waybills):
            for handle in sides[tier : tier + 2]:
                if seat and handle == self._driver:
                    continue
                self._world.desk(handle).client.sign_waybill(waybill)
        leaf = self._world.desk("carrier")
        self._wait(
            "the driver's signature",
            lambda: leaf.get(f"/v1/waybills/{waybills[-1]}")["stage"] == "issued",
            HANDS_S if seat else PATIENCE_S,
        )

    def _advance(self, name: str, waybills: list[str], trip: str, *, seat: bool) -> str:
        world = self._world
        heed_warnings(world)
        borrower, debtor, lender, driver = (
            world.desk(handle) for handle in ("subcontractor", "carrier", "lender", self._driver)
        )
        payee = {
            "party": str(driver.party),
            "waybill": waybills[-1],
            "account": world.accounts[self._driver],
            "amount_fen": DRIVER_FEN,
        }
        asked = {
            "line": world.line, "waybill": waybills[-2], "trip": trip,
            "principal_fen": DRIVER_FEN, "payees": [payee],
        }  # fmt: skip
        decision = borrower.client.post("/v1/advances/decision", asked)
        if decision["to_sign"] is None:
            raise TooLateError("; ".join(reason["en"] for reason in decision["reasons"]))
        body = borrower.client.sign(decision["to_sign"])
        advance = str(borrower.client.post("/v1/advances", body, once=f"{name}.advance")["id"])
        path = f"/v1/advances/{advance}"
        self._wait("the request", lambda: lender.get(path)["debtor"] != "")
        debtor.client.act(f"{path}/acknowledgement")
        if not seat:
            driver.client.act(f"{path}/consent")
        self._wait(
            "the driver's consent",
            lambda: lender.get(path)["payees"][0]["consented_at"] is not None,
            HANDS_S if seat else PATIENCE_S,
        )
        lender.client.act(f"{path}/approval")
        self._wait("the approval", lambda: lender.get(path)["state"] == "approved")
        return advance

    def _load(self, name: str, trip: str, *, seat: bool) -> None:
        driver = self._world.desk(self._driver)
        if not seat:
            driver.client.act(f"/v1/deliveries/{trip}/loading", once=f"{name}.loading")
        self._wait(
            "the loading",
            lambda: driver.get(f"/v1/trips/{trip}")["state"] == "loaded",
            HANDS_S if seat else PATIENCE_S,
        )

    def _drive(self, number: int, fixes: list[Fix]) -> None:
        """Over the real gateway, as the truck's terminal would send them, in a faster clock."""
        terminals = Terminals(
            "127.0.0.1", int(self._world.demo.environment()["YUNDAN_GATEWAY_PORT"])
        )
        waiting, clock = list(fixes), fixes[0].time
        try:
            while waiting and not self._stopping.is_set():
                clock = min(clock + STEP_S, fixes[-1].time)
                self._world.move_clock(dt.datetime.fromtimestamp(clock + 2, dt.UTC))
                due = [fix for fix in waiting if fix.time <= clock]
                del waiting[: len(due)]
                if due:
                    terminals.send({phone(f"7{number:03d}"): due})
                time.sleep(self._breath_s)
        finally:
            terminals.close()

    def _await_word(self, trip: str) -> None:
        """The judge looks at a parked truck after a while; the clock goes on meanwhile."""
        driver = self._world.desk(self._driver)

        def has_word() -> bool:
            LocalNode(self._world.client).advance_to(self._world.now() + dt.timedelta(seconds=20))
            said = driver.get(f"/v1/trips/{trip}")["attestations"]
            return sum(bool(one["on_chain"]) for one in said) >= 2

        self._wait("the attestors' word", has_word, 120.0, pause=0.7)

    def _offer_receipt(self, name: str, trip: str, *, seat: bool) -> None:
        """The link that the driver's phone shows as a QR code, and the code that the consignor tells."""
        code = self._world.desk("consignor").get(f"/v1/deliveries/{trip}/receipt-code")["code"]
        facts: dict[str, Any] = {"code": code, "stage": "receipt"}
        if not seat:
            driver: YundanClient = self._world.desk(self._driver).client
            made = driver.post(f"/v1/deliveries/{trip}/receipt-link", once=f"{name}.link")
            facts["link"] = made["url"]
        self._orders.tell(name, **facts)

    def _await_money(self, name: str, trip: str) -> None:
        driver = self._world.desk(self._driver)
        self._wait(
            "the consignee's signature",
            lambda: (
                driver.get(f"/v1/trips/{trip}")["confirmed_at"] is not None
                or driver.get(f"/v1/trips/{trip}")["disputed"]
            ),
            2 * HANDS_S,
        )
        shown = driver.get(f"/v1/trips/{trip}")
        if shown["disputed"] or shown["accepted_milli"] != shown["loaded_milli"]:
            self._orders.tell(name, stage="held")
            return
        self._orders.tell(name, stage="money")
        self._wait("the bank's payment", lambda: self._banked(trip), 120.0)
        self._orders.tell(name, stage="done")

    def _banked(self, trip: str) -> bool:
        tasks = self._world.desk(self._driver).get("/v1/driver/tasks")["data"]
        stages = next(one["money"] for one in tasks if one["trip"] == trip)
        return bool(stages) and stages[-1]["at"] is not None

    def _wait(
        self,
        what: str,
        is_so: Callable[[], bool],
        seconds: float = PATIENCE_S,
        *,
        pause: float = 0.2,
    ) -> None:
        until = time.monotonic() + seconds
        while not self._stopping.is_set():
            try:
                if is_so():
                    return
            except ClientError as error:
                if error.status not in {0, 503}:
                    raise
            if time.monotonic() > until:
                raise TooLateError(f"{what} did not happen within {seconds:g} s")
            time.sleep(pause)
        raise TooLateError("the demo is ending")
