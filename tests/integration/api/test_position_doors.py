"""Phones, a Traccar server and recorders' files each have a door in the running product."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr

from api.jobs import forget_old
from api.naming import Names
from chain.bindings.enums import TripState
from chain.clock import rfc3339
from chain.ids import TripId
from finance.advance import AdvanceState
from finance.tables import AdvanceRow, CreditLineRow
from tests.integration.api.system import plan
from tracking.fix import Fix
from tracking.instants import instant

PHONE = "13811115555"
TOKEN = "f0" * 32


@pytest.fixture(scope="module")
def phone(system):
    """A registered terminal and its code."""
    firm = system.party("doors firm")
    return PHONE, firm.post("/v1/terminals", {"terminal": PHONE, "plate": "沪A55555"})["code"]


@pytest.fixture
def forwarding(system):
    before = system.container.settings
    system.container.settings = before.model_copy(update={"forward_token": SecretStr(TOKEN)})
    yield system
    system.container.settings = before


def now(system) -> int:
    return int(system.now().timestamp())


def stored(system, time: int):
    with system.container.read() as services:
        return services.tracks.list_fixes(PHONE, time, time)


def test_a_phone_reports_in_osmands_form_and_is_answered_when_it_is_durable(system, phone):
    at = now(system) - 60
    asked = {"id": PHONE, "lat": 32.0, "lon": 120.0, "timestamp": at, "speed": 10, "bearing": 90}
    answer = system.http.get("/v1/osmand", params=asked, auth=phone)
    assert answer.json() == {"taken": 1, "new": 1, "refused": None, "field": None}
    again = system.http.post("/v1/osmand", params=asked, auth=phone)
    assert again.json()["new"] == 0
    (fix,) = stored(system, at)
    assert (fix.lat_e6, fix.lon_e6, fix.speed_dkmh, fix.heading) == (
        32_000_000,
        120_000_000,
        185,
        90,
    )
    assert fix.received == now(system)


def test_an_application_that_knows_only_an_address_has_its_code_in_it(system, phone):
    at = now(system) - 50
    report = {
        "device_id": PHONE,
        "location": {
            "timestamp": rfc3339(instant(at)),
            "coords": {"latitude": 32.1, "longitude": 120.1, "speed": 5, "heading": -1},
        },
    }
    answer = system.http.post(f"/v1/osmand/{phone[1]}", json=report)
    assert answer.json()["taken"] == 1
    assert stored(system, at)[0].speed_dkmh == 180
    assert system.http.post("/v1/osmand/wrong-code", json=report).status_code == 401
    assert system.http.post("/v1/osmand/wrong-code", content=b"{").status_code == 401


def test_a_report_that_is_no_evidence_is_refused_by_a_code_and_not_asked_for_again(system, phone):
    answer = system.http.get("/v1/osmand", params={"id": PHONE, "lat": 32, "lon": 120}, auth=phone)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["taken"], told["refused"], told["field"]) == (0, "time_missing", "timestamp")
    other = {"id": "1", "lat": 32, "lon": 120, "timestamp": now(system)}
    assert system.http.get("/v1/osmand", params=other, auth=phone).json()["field"] == "id"


def test_the_operators_traccar_forwards_and_one_bad_position_costs_no_other(forwarding, phone):
    at = now(forwarding) - 40
    position = {"latitude": 32.2, "longitude": 120.2, "fixTime": rfc3339(instant(at))}
    body = [
        {"position": position, "device": {"uniqueId": PHONE}},
        {"position": position, "device": {"uniqueId": "404"}},
        {"position": {}, "device": {"uniqueId": PHONE}},
    ]
    opened = {"Authorization": f"Bearer {TOKEN}"}
    answer = forwarding.http.post("/v1/traccar", json=body, headers=opened)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["taken"], told["new"]) == (1, 1)
    assert [one["error"] for one in told["refused"]] == ["terminal_unknown", "position_missing"]
    with forwarding.container.read() as services:
        raw = services.tracks.list_raw(PHONE, at, at + 100)
    kept = next(json.loads(one.data) for one in raw if one.source == "traccar")
    assert kept == body[:1]  # another truck's place is not in this one's evidence
    for headers in ({}, {"Authorization": "Bearer " + "0" * 64}):
        shut = forwarding.http.post("/v1/traccar", json=body, headers=headers)
        assert shut.status_code == 401


def test_without_the_operators_token_the_forwarding_door_is_shut(system, phone):
    answer = system.http.post("/v1/traccar", json=[], headers={"Authorization": "Bearer "})
    assert answer.status_code == 401


@pytest.mark.parametrize("form", ["csv", "gpx", "nmea"])
def test_a_recorders_file_is_taken_whole_and_counts_as_sent_late(system, phone, form):
    at = now(system) - 7_200 - {"csv": 0, "gpx": 100, "nmea": 200}[form]
    when = rfc3339(instant(at))
    text = {
        "csv": f"time_utc,lat,lon,speed\n{when},32.3,120.3,36\n",
        "gpx": f'<gpx><trk><trkseg><trkpt lat="32.3" lon="120.3"><time>{when}</time>'
        "</trkpt></trkseg></trk></gpx>",
        "nmea": nmea(f"BDRMC,{when[11:19].replace(':', '')}.00,A,3218.0,N,12018.0,E,0.0,0.0,"
                     f"{when[8:10]}{when[5:7]}{when[2:4]},,,A"),
    }[form]  # fmt: skip
    path = f"/v1/positions/{PHONE}/recording?format={form}"
    answer = system.http.post(path, content=text.encode(), auth=phone)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"taken": 1, "new": 1}
    (fix,) = stored(system, at)
    assert (fix.lat_e6, fix.lon_e6, fix.late) == (32_300_000, 120_300_000, True)
    assert system.http.post(path, content=text.encode(), auth=phone).json()["new"] == 0
    assert system.http.post(path, content=b"\xff\xfe\x00", auth=phone).status_code == 422
    assert system.http.post(path, content=b"", auth=phone).status_code == 422
    assert system.http.post(path, content=text.encode()).status_code == 401


def nmea(body: str) -> str:
    found = 0
    for byte in body.encode():
        found ^= byte
    return f"${body}*{found:02X}\r\n"


def test_a_file_from_the_future_is_refused_whole(system, phone):
    late, ahead = (rfc3339(instant(now(system) + by)) for by in (-9_000, 9_000))
    text = f"time_utc,lat,lon\n{late},32.4,120.4\n{ahead},32.4,120.4\n"
    path = f"/v1/positions/{PHONE}/recording?format=csv"
    answer = system.http.post(path, content=text.encode(), auth=phone)
    assert (answer.status_code, answer.json()["code"]) == (422, "fix_invalid")
    assert not stored(system, now(system) - 9_000)


def test_positions_are_kept_as_long_as_the_setting_says_and_a_live_loan_needs_them(system):
    day, firm = 86_400, system.party("keeper")
    firm.post("/v1/terminals", {"terminal": "13899990000", "plate": "沪A99990"})
    vehicle = Names(system.container.hash_key).vehicle("沪A99990")
    trips = {AdvanceState.RELEASED: 1, AdvanceState.REPAID: 2, AdvanceState.DEFAULTED: 3}
    first = now(system) - 40 * day
    with system.container.write() as services:
        services.session.add(
            CreditLineRow(
                line="line",
                lender="1",
                borrower="2",
                state="open",
                limit_fen=9,
                rate_ppm=1,
                penalty_ppm=1,
                ceiling_ppm=1,
                fee_bps=1,
                advance_bps=1,
                tolerance_bps=1,
                tenor_days=1,
                grace_days=1,
                attestor="1",
                gated=False,
                terms_hash="t",
                form={},
                valid_until=system.now(),
                submitted_at=system.now(),
            )
        )
        for state, number in trips.items():
            trip, opens = TripId(f"0x{number:064x}"), first + number * day
            services.tracking.open_trip(
                trip,
                terminal="13899990000",
                vehicle=vehicle,
                plan=plan(),
                opens=opens,
                closes=opens + 3_600,
            )
            services.tracking.on_trip_moved(trip, TripState.VOID)
            services.tracking.take_fixes("13899990000", [Fix(opens + 60, 32_000_000, 120_000_000)])
            services.session.add(
                AdvanceRow(
                    advance=f"0x{number:064x}",
                    line="line",
                    lender="1",
                    borrower="2",
                    waybill="w",
                    trip=trip,
                    state=state.value,
                    principal_fen=9,
                    decision="d",
                    submitted_at=system.now(),
                )
            )
    before = system.container.settings
    try:
        assert forget_old(system.container) == 0  # nothing is forgotten unless the operator says so
        system.container.settings = before.model_copy(update={"keep_days": 30})
        forget_old(system.container)
    finally:
        system.container.settings = before
    with system.container.read() as services:
        kept = services.tracks.list_fixes("13899990000", 0, now(system))
    assert [(fix.time - first) // day for fix in kept] == [1, 3]
