"""What nobody sane sends: the door names the fault, stores nothing and stays open."""

from __future__ import annotations

import copy
import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from api.client import ClientError
from api.client.session import NotSignedError
from chain.clock import rfc3339
from tests.integration.api.system import plan
from tests.integration.api.test_doors import OPEN, operations, path_of

ROOT = Path(__file__).resolve().parents[3]
GARBAGE = [
    b"", b"null", b"[]", b'"x"', b"1e999", b"{", b"{}", b"\xff\xfe", b"[" * 5_000, b'{"a":' * 5_000,
    json.dumps({"message": {}, "signature": "0x" + "00" * 65}).encode(),
    json.dumps({"message": {"trip": "\ud800"}, "signature": "0x" + "00" * 65}).encode(),
    json.dumps({"signature": "0x" + "ff" * 65}).encode(),
    json.dumps({"name": "n", "origin": "o", "destination": "d", "plan": {"planned_route": [[1e308] * 2]}}).encode(),
]  # fmt: skip


def test_garbage_never_breaks_a_door(system):
    party = system.party("prober")
    count = 0
    for method, path, _ in operations(system):
        for number, body in enumerate(GARBAGE if method == "post" else [b""]):
            for kind in ("application/json", "text/csv")[: 1 + path.endswith("/import")]:
                answer = system.http.request(
                    method,
                    path_of(path)
                    + ("?limit=0&starting_after=%00&day=x" if method == "get" else ""),
                    content=body,
                    headers={
                        "Authorization": f"Bearer {party._token}",
                        "Idempotency-Key": f"g-{number}-{kind[:4]}",
                        "Content-Type": kind,
                    },
                )
                assert answer.status_code < 500, (method, path, body[:40], answer.text[:200])
                if answer.status_code >= 400:
                    assert answer.headers["content-type"] == "application/problem+json", path
                    assert answer.json()["detail"]
                count += 1
        if (method, path) == ("delete", "/v1/keys/{key_id}"):
            continue
    assert count > 300
    assert {("post", "/v1/parties")} <= OPEN
    assert party.get("/v1/waybills")["data"] == []


DEEP = (
    "import sys, json, api.app, api.client, chain.client\nassert sys.getrecursionlimit() <= 1000\n"
)


def test_json_of_any_depth_is_an_error_and_not_the_end(system):
    """A library raises the recursion limit to 100,000, where nested JSON kills the process."""
    program = DEEP + "try: json.loads('[' * 500_000)\nexcept RecursionError: print('refused')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout == "refused\n", (done.returncode, done.stderr[-300:])
    party = system.party("digger")
    for deep in (b"[" * 900_000, b'{"a":' * 500_000):
        answer = system.http.post(
            "/v1/waybills",
            content=deep,
            headers={
                "Authorization": f"Bearer {party._token}",
                "Idempotency-Key": "deep",
                "Content-Type": "application/json",
            },
        )
        assert answer.status_code in {400, 422}
    assert system.http.get("/v1/health").status_code == 200


def test_a_client_signs_nothing_it_was_not_shipped_with(system):
    party = system.party("careful")
    form = party.get("/v1/keys/form", party=str(party.party))["to_sign"]
    party.sign(form)
    more = copy.deepcopy(form)
    more["types"]["ApiKeyRequest"].append({"name": "andAlso", "type": "uint256"})
    with pytest.raises(NotSignedError, match="not the one this client knows"):
        party.sign(more)
    other = copy.deepcopy(form)
    other["primaryType"] = "Permit"
    with pytest.raises(NotSignedError, match="knows no form Permit"):
        party.sign(other)


# -- positions ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def terminal(system):
    party = system.party("fleet")
    shown = party.post("/v1/terminals", {"terminal": "13811112222", "plate": "苏B·1"})
    return party, shown["code"]


def send(system, code, fixes, name="13811112222"):
    return system.http.post("/v1/positions/13811112222", json={"fixes": fixes}, auth=(name, code))


def fix(system, seconds=0, **change):
    at = system.now().replace(microsecond=0) + dt.timedelta(seconds=seconds)
    return {"time": rfc3339(at), "lat": 31.5, "lon": 120.3} | change


def test_positions_are_taken_once(system, terminal):
    fixes = [fix(system, -20), fix(system, -10, speed_kmh=42.5, heading=90)]
    assert send(system, terminal[1], fixes).json() == {"taken": 2, "new": 2}
    assert send(system, terminal[1], fixes).json() == {"taken": 2, "new": 0}


@pytest.mark.parametrize(
    ("fixes", "field"),
    [
        ([(0, {"lat": 91})], "fixes.0.lat"),
        ([(0, {"lon": "120"})], "fixes.0.lon"),
        ([(0, {"lat": float("1e400")})], "fixes.0.lat"),
        ([(0, {"time": 1_700_000_000})], "fixes.0.time"),
        ([(0, {"speed": 3})], "fixes.0.speed"),
        ([(0, {}), (-5, {})], "fixes[1].time"),
        ([(0, {}), (400, {})], "fixes[1].time"),
        ([], "fixes"),
    ],
)
def test_a_bad_position_is_named_and_none_is_kept(system, terminal, fixes, field):
    made = [fix(system, seconds, **change) for seconds, change in fixes]
    body = json.dumps({"fixes": made}).replace("Infinity", "1e400")
    answer = system.http.post(
        "/v1/positions/13811112222",
        content=body,
        headers={"Content-Type": "application/json"},
        auth=("13811112222", terminal[1]),
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field


def test_a_terminal_speaks_for_itself_with_its_own_code(system, terminal):
    one = [fix(system)]
    assert send(system, "wrong", one).status_code == 401
    assert send(system, terminal[1], one, name="13800000000").status_code == 401
    terminal[0].post("/v1/terminals", {"terminal": "13833334444", "plate": "苏B·2"})
    other = system.http.post(
        "/v1/positions/13833334444", json={"fixes": one}, auth=("13811112222", terminal[1])
    )
    assert other.status_code == 401


def test_a_terminal_stays_with_its_vehicle(system, terminal):
    with pytest.raises(ClientError) as refused:
        terminal[0].post("/v1/terminals", {"terminal": "13811112222", "plate": "苏C·9"})
    assert refused.value.reason == "terminal_taken"
    again = terminal[0].post("/v1/terminals", {"terminal": "13811112222", "plate": "苏b 1"})
    assert send(system, terminal[1], [fix(system)]).status_code == 401
    assert send(system, again["code"], [fix(system)]).status_code == 202


def test_who_knows_phone_and_plate_gets_no_code_of_anothers_terminal(system):
    asked = {"terminal": "13855556666", "plate": "苏B·3"}
    owner, thief = system.party("owns it"), system.party("knows it")
    own = owner.post("/v1/terminals", asked)
    with pytest.raises(ClientError, match="another party has this terminal") as refused:
        thief.post("/v1/terminals", asked)
    assert (refused.value.status, refused.value.reason) == (409, "terminal_taken")
    sent = system.http.post(
        "/v1/positions/13855556666",
        json={"fixes": [fix(system)]},
        auth=("13855556666", own["code"]),
    )
    assert sent.status_code == 202  # the refused question has not put another code in its place


def test_a_route_that_is_no_road_names_its_fault(system, terminal):
    good = {"name": "r", "origin": "a", "destination": "b", "plan": plan()}
    for change, field in (
        ({"planned_route": [[1, 2]]}, "planned_route"),
        ({"planned_route": [[200, 2], [1, 2]]}, "planned_route[0]"),
        ({"pickup": {"lat": 1}}, "pickup.lon"),
        ({"corridor_half_width_m": 1}, "corridor_half_width_m"),
    ):
        with pytest.raises(ClientError) as refused:
            terminal[0].post("/v1/routes", good | {"plan": plan() | change})
        assert refused.value.problem["field"] == field
    assert terminal[0].get("/v1/routes")["data"] == []
