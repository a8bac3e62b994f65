"""A served day for the desk's tests: one trip driven, delivered and paid, one just signed, people signed in."""

from __future__ import annotations

import datetime as dt
import threading
import time

import uvicorn

from api.app import create_app
from api.client import plain
from api.jobs import judge_arrived
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.ids import PartyId
from deploy.node import free_port
from tests.integration.api.people import PASSWORD, open_account
from tests.integration.api.system import WITNESS_ONE, System
from tests.integration.api.test_day import (
    BEGIN,
    CAST,
    FIXES,
    ask_advance,
    attest,
    drive,
    fund_lender,
    open_line,
    send_waybills,
)


class Day:
    """A system whose day has been lived through, served over a socket."""

    def __init__(self, folder) -> None:
        self.system = system = System(folder)
        self.cast = cast = {name: system.party(name, kind) for name, kind in CAST.items()}
        cast["witness one"] = system.party("witness one", "attestor", PartyId(WITNESS_ONE))
        for name in ("witness one", "witness two"):
            system.send(DeliveryRegistry.add_attestor(cast[name].party), name)
        custodian = SettlementToken.set_custodian(cast["bank one"].party, cast["bank two"].party)
        system.send(custodian, "custodian")
        system.later(BEGIN - dt.timedelta(hours=2))
        fund_lender(system, cast)
        self.line = open_line(system, cast)
        system.later(BEGIN - dt.timedelta(minutes=30))
        ids = send_waybills(system, cast)
        self.trip = plain(cast["driver"].get(f"/v1/waybills/{ids['t2']}")["trip"])
        self.advance = ask_advance(system, cast, self.line, ids, self.trip)
        system.later(BEGIN - dt.timedelta(seconds=30))
        cast["driver"].act(f"/v1/deliveries/{self.trip}/loading")
        system.settle()
        drive(system, cast)
        system.later(dt.datetime.fromtimestamp(FIXES[-1].time + 700, dt.UTC))
        for _ in range(3):
            judge_arrived(system.container)
            system.settle()
        attest(system, cast)
        cast["consignee"].act(f"/v1/deliveries/{self.trip}/confirmation")
        system.settle()
        open_account(system, cast["haulier"], "haulier")
        open_account(system, cast["lender"], "lender")
        open_account(system, cast["lender"], "lender-checker", "approver")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            create_app(system.container), port=self.port, log_config=None, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        end = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < end
            time.sleep(0.03)

    def cookie(self, login: str) -> dict[str, str]:
        """A session's cookie, for a browser that is signed in from the start."""
        self.system.http.cookies.clear()
        answer = self.system.http.post(
            "/v1/sessions",
            json={"login": login, "password": PASSWORD},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == 201, answer.text
        name = self.system.settings.session_cookie
        value = self.system.http.cookies[name]
        self.system.http.cookies.clear()
        return {"name": name, "value": value, "url": self.url}

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self.system.close()
