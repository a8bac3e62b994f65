"""The pack of a trip that stopped short: it proves as well why no money moved."""

from __future__ import annotations

import datetime as dt

import pytest

from api.audit.export import export_trip
from api.client import plain
from api.jobs import judge_arrived
from api.verifier.report import Mark
from api.verifier.verify import verify_pack
from tests.integration.api import test_day as a_day
from tests.integration.api.test_day import cast  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def failed(system, cast, tmp_path_factory):  # noqa: F811  a fixture taken by its name
    """Approved and loaded, but the truck went two thirds of the way; two attestors say so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(a_day, "FIXES", a_day.FIXES[: len(a_day.FIXES) * 2 // 3])
        system.later(a_day.BEGIN - dt.timedelta(hours=2))
        a_day.fund_lender(system, cast)
        line = a_day.open_line(system, cast)
        system.later(a_day.BEGIN - dt.timedelta(minutes=30))
        ids = a_day.send_waybills(system, cast)
        trip = plain(cast["driver"].get(f"/v1/waybills/{ids['t2']}")["trip"])
        advance = a_day.ask_advance(system, cast, line, ids, trip)
        system.later(a_day.BEGIN - dt.timedelta(seconds=30))
        cast["driver"].act(f"/v1/deliveries/{trip}/loading")
        system.settle()
        a_day.drive(system, cast)
        system.later(a_day.BEGIN + dt.timedelta(hours=21))
        for _ in range(3):
            judge_arrived(system.container)
            system.settle()
        a_day.attest(system, cast)
        cast["consignee"].act(f"/v1/deliveries/{trip}/confirmation")
        system.settle()
    assert cast["lender"].get(f"/v1/advances/{advance}")["state"] == "approved"
    done = export_trip(system.container, trip, tmp_path_factory.mktemp("pack") / "pack.zip")
    return verify_pack(done.path, trust=[done.anchor_hash])


def test_a_failed_trip_is_proven_and_so_is_that_no_money_moved(failed):
    assert failed.reds == [], failed.to_text()
    assert failed.verified
    reasons = {
        code: [check.reason for check in failed.checks if check.code == code]
        for code in ("road.attestation", "delivery.completed", "advance.consents", "advance.paid")
    }
    assert len(reasons["road.attestation"]) == 2
    assert all("signed fail" in one for one in reasons["road.attestation"])
    assert reasons["delivery.completed"] == ["the delivery is not complete"]
    assert reasons["advance.consents"] == ["debtor, payees and lender have signed"]
    assert reasons["advance.paid"] == []
    (verdict,) = [check for check in failed.checks if check.code == "road.verdict"]
    assert (verdict.about, verdict.mark) == ("fail", Mark.GREEN)
    trip = [check for check in failed.checks if check.about.startswith("trip 0x")]
    assert "holds what the events make" in trip[0].reason
