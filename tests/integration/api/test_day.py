"""One trip on a recorded drive, every step through the API, from the CSV to the driver's money."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from itertools import pairwise

import pytest
import python_calamine

from api.attestor import Attestor
from api.bulk.columns import BEIJING
from api.client import ClientError, plain
from api.jobs import commit_tracks, judge_arrived, watch_trips
from api.object_ids import prefixed
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt, PayoutReceipt
from chain.clock import rfc3339
from chain.document import document_hash
from chain.ids import Hash32, PartyId
from deploy.demo.roads import (
    CORRIDOR_M,
    GATE_RADIUS_M,
    PLACES,
    ROUTE_RUN,
    line_between,
    load_runs,
    planned_line,
    point_at,
)
from tests.integration.api.repeating import Repeating
from tests.integration.api.system import WITNESS_ONE, System, key

RUN, FROM, TO = "1107", PLACES[0], PLACES[2]
RUNS = load_runs()
FIXES = RUNS[RUN]
BEGIN = dt.datetime.fromtimestamp(FIXES[0].time, dt.UTC)
ACCOUNT = "0x" + "ac" * 32
CAST = {
    "consignor": "consignor", "carrier": "contract carrier", "haulier": "subcontractor",
    "driver": "driver", "consignee": "consignee", "lender": "lender", "stranger": "subcontractor",
    "bank one": "custodian", "bank two": "custodian", "witness two": "attestor",
}  # fmt: skip


def plan() -> dict:
    line = planned_line(RUNS[ROUTE_RUN])
    gates = [
        {"lon": lon, "lat": lat, "radius_m": GATE_RADIUS_M}
        for lon, lat in (point_at(line, FROM.at_m), point_at(line, TO.at_m))
    ]
    return {
        "planned_route": [list(point) for point in line_between(line, FROM.at_m, TO.at_m)],
        "pickup": gates[0],
        "delivery": gates[1],
        "corridor_half_width_m": CORRIDOR_M,
    }


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    made = System(tmp_path_factory.mktemp("system"), http=Repeating)
    yield made
    made.close()


@pytest.fixture(scope="module")
def cast(system):
    firms = {name: system.party(name, kind) for name, kind in CAST.items()}
    firms["witness one"] = system.party("witness one", "attestor", PartyId(WITNESS_ONE))
    for name in ("witness one", "witness two"):
        system.send(DeliveryRegistry.add_attestor(firms[name].party), name)
    one, two = firms["bank one"], firms["bank two"]
    system.send(SettlementToken.set_custodian(one.party, two.party), "custodian")
    return firms


def fund_lender(system, cast) -> None:
    lender = cast["lender"]
    account = system.container.client.fetch(PartyRegistry.account_of(lender.party))
    receipt = MintReceipt(Hash32("0x" + "b1" * 32), account, 5_000_000, 20_480)
    domain = system.container.client.domain("SettlementToken")
    signatures = [key(name).sign_typed_data(receipt, domain) for name in ("bank one", "bank two")]
    system.send(SettlementToken.mint(receipt, *signatures), "mint")
    form = lender.post("/v1/vault/form", {"deposit": True, "amount_fen": 5_000_000})
    lender.post("/v1/vault", lender.sign(form["to_sign"]))
    system.settle()


def open_line(system, cast) -> str:
    lender, borrower = cast["lender"], cast["haulier"]
    asked = {
        "lender": str(lender.party), "borrower": str(borrower.party), "limit_fen": 2_000_000,
        "rate_ppm": 109_500, "penalty_ppm": 164_250, "ceiling_ppm": 240_000, "fee_bps": 10,
        "advance_bps": 9_000, "tolerance_bps": 100, "tenor_days": 60, "grace_days": 3,
        "attestor": str(cast["witness two"].party), "terms": "0x" + "7e" * 32,
        "valid_until": rfc3339(BEGIN + dt.timedelta(days=365)),
    }  # fmt: skip
    form = lender.post("/v1/lines/form", asked)["to_sign"]
    ours, theirs = lender.sign(form), borrower.sign(form)
    line = lender.post(
        "/v1/lines",
        {
            "message": ours["message"],
            "lender_signature": ours["signature"],
            "borrower_signature": theirs["signature"],
        },
    )
    system.settle()
    return plain(line["id"])


def send_waybills(system, cast) -> dict[str, str]:
    carrier = cast["carrier"]
    route = {"name": "A-C", "origin": FROM.name_zh, "destination": TO.name_zh, "plan": plan()}
    carrier.post("/v1/routes", route)
    tiers = (
        ("consignor", "carrier", 120_000),
        ("carrier", "haulier", 104_000),
        ("haulier", "driver", 86_400),
    )
    rows = [
        {
            "ref": f"t{tier}", "parent_ref": f"t{tier - 1}" if tier else "",
            "issuer": cast[issuer].party, "performer": cast[performer].party,
            "consignee": cast["consignee"].party, "shipping_note": "YD20260126-003",
            "goods": "糖", "quantity_milli": 12_000, "freight_fen": freight, "term_days": 45,
            "load_from": rfc3339(BEGIN - dt.timedelta(minutes=20)),
            "deliver_by": rfc3339(BEGIN + dt.timedelta(hours=8)),
            "serial": "0101" if tier == 2 else "", "plate": "苏A·4716" if tier == 2 else "",
            "terminal": "13900004716" if tier == 2 else "", "route": "A-C" if tier == 2 else "",
        }
        for tier, (issuer, performer, freight) in enumerate(tiers)
    ]  # fmt: skip
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    taken = carrier.post_file("/v1/waybills/import", out.getvalue().encode())["waybills"]
    ids = {ref: plain(waybill) for ref, waybill in taken.items()}
    for tier, sides in enumerate(
        (("consignor", "carrier"), ("carrier", "haulier"), ("haulier", "driver"))
    ):
        for side in sides:
            cast[side].sign_waybill(ids[f"t{tier}"])
    system.settle()
    return ids


def ask_advance(system, cast, line, ids, trip) -> str:
    borrower = cast["haulier"]
    asked = {
        "line": line, "waybill": ids["t1"], "trip": trip, "principal_fen": 86_400,
        "payees": [
            {"party": str(cast["driver"].party), "waybill": ids["t2"], "account": ACCOUNT, "amount_fen": 86_400}
        ],
    }  # fmt: skip
    decided = borrower.post("/v1/advances/decision", asked)
    assert decided["verdict"] in {"approve", "review"}, decided["reasons"]
    asked = borrower.sign(decided["to_sign"])
    advance = plain(borrower.post("/v1/advances", asked)["id"])
    system.settle()
    cast["carrier"].act(f"/v1/advances/{advance}/acknowledgement")
    cast["driver"].act(f"/v1/advances/{advance}/consent")
    system.settle()
    cast["lender"].act(f"/v1/advances/{advance}/approval")
    system.settle()
    assert cast["lender"].get(f"/v1/advances/{advance}")["state"] == "approved"
    return advance


def drive(system, cast) -> None:
    """Sends the recorded positions as they came, in four pieces; the worker commits on the way."""
    asked = {"terminal": "013900004716", "plate": "苏A 4716"}
    with pytest.raises(ClientError, match="waybills of other parties") as refused:
        cast["stranger"].post("/v1/terminals", asked)
    assert (refused.value.status, refused.value.reason) == (409, "terminal_taken")
    code = cast["haulier"].post("/v1/terminals", asked)
    for late in ("driver", "stranger"):
        with pytest.raises(ClientError, match="another party has this terminal"):
            cast[late].post("/v1/terminals", asked)
    step = len(FIXES) // 4 + 1
    marks = [*range(0, len(FIXES), step), len(FIXES)]
    for first, last in pairwise(marks):
        piece = FIXES[first:last]
        system.later(dt.datetime.fromtimestamp(piece[-1].time + 2, dt.UTC))
        body = {
            "fixes": [
                {
                    "time": rfc3339(dt.datetime.fromtimestamp(fix.time, dt.UTC)),
                    "lat": fix.lat_e6 / 1e6,
                    "lon": fix.lon_e6 / 1e6,
                }
                for fix in piece
            ]
        }
        answer = system.http.post(
            "/v1/positions/13900004716",
            json=body,
            auth=("13900004716", code["code"]),
            headers={"Idempotency-Key": f"piece-{first}"},
        )
        assert answer.json() == {"taken": len(piece), "new": len(piece)}
        watch_trips(system.container)
        commit_tracks(system.container)
        system.settle()


def attest(system, cast) -> None:
    for name in ("witness one", "witness two"):
        witness = Attestor(
            system.settings.model_copy(
                update={
                    "attestor_key": type(system.settings.attestor_key)(
                        "0x" + key(name)._key.secret.hex()
                    ),
                    "attestor_party": int(cast[name].party),
                }
            )
        )
        witness.__dict__["_platform"] = cast[name]  # the same HTTP, in this process
        assert witness.look_once() == 1
        assert witness.look_once() == 0
    system.settle()


@pytest.fixture(scope="module")
def day(system, cast):
    system.later(BEGIN - dt.timedelta(hours=2))
    fund_lender(system, cast)
    line = open_line(system, cast)
    system.later(BEGIN - dt.timedelta(minutes=30))
    ids = send_waybills(system, cast)
    trip = plain(cast["driver"].get(f"/v1/waybills/{ids['t2']}")["trip"])
    advance = ask_advance(system, cast, line, ids, trip)
    system.later(BEGIN - dt.timedelta(seconds=30))
    cast["driver"].act(f"/v1/deliveries/{trip}/loading")
    system.settle()
    drive(system, cast)
    system.later(dt.datetime.fromtimestamp(FIXES[-1].time + 700, dt.UTC))
    for _ in range(3):
        judge_arrived(system.container)
        system.settle()
    attest(system, cast)
    before = cast["lender"].get(f"/v1/advances/{advance}")
    cast["consignee"].act(f"/v1/deliveries/{trip}/confirmation")
    system.settle()
    return {"trip": trip, "advance": advance, "ids": ids, "line": line, "before": before}


def test_the_confirmation_pays_the_driver_in_that_transaction(cast, day):
    assert day["before"]["state"] == "approved"
    advance = cast["driver"].get(f"/v1/advances/{day['advance']}")
    assert (advance["state"], advance["released_fen"]) == ("released", 86_400)
    assert advance["payees"][0]["paid_fen"] == 86_400
    trip = cast["driver"].get(f"/v1/trips/{day['trip']}")
    assert (trip["state"], trip["verdict"], trip["paid_fen"]) == ("delivered", "pass", 86_400)
    events = {event["event"]: event["transaction"] for event in trip["timeline"]}
    assert events["DeliveryConfirmed"] == events["AdvanceReleased"] == events["PayeePaid"]
    assert trip["batches"] >= 3
    assert len([a for a in trip["attestations"] if a["on_chain"]]) == 2


def test_the_drivers_money_tells_its_stages_from_the_receipt_on(cast, day):
    (told,) = cast["driver"].get("/v1/payouts")["data"]
    assert (told["trip"], told["advance"]) == tuple(
        prefixed(kind, day[kind]) for kind in ("trip", "advance")
    )
    assert (told["amount_fen"], told["state"]) == (86_400, "queued")
    assert [stage["name"] for stage in told["stages"] if stage["at"]] == ["signed", "queued"]
    assert told["bank_seconds"] is None
    for side in ("lender", "haulier"):
        assert cast[side].get(f"/v1/payouts/{told['id']}") == told


def test_every_write_of_the_day_happens_once_and_its_key_takes_no_other_body(system, day):
    """Each write of this day was sent twice more: the same answer, and none for another body."""
    assert system.http.wrong == []
    kinds = {
        (method, re.sub(r"/(0x[0-9a-f]+|[0-9]+)", "/*", path))
        for method, path in system.http.proved
    }
    assert kinds >= {
        ("POST", path)
        for path in (
            "/v1/parties/form", "/v1/parties", "/v1/keys", "/v1/vault/form", "/v1/vault",
            "/v1/lines/form", "/v1/lines", "/v1/routes", "/v1/waybills/import",
            "/v1/waybills/*/signatures", "/v1/advances/decision", "/v1/advances",
            "/v1/advances/*/acknowledgement", "/v1/advances/*/consent", "/v1/advances/*/approval",
            "/v1/terminals", "/v1/positions/*", "/v1/deliveries/*/loading",
            "/v1/deliveries/*/confirmation", "/v1/trips/*/attestations",
        )
    }  # fmt: skip


def test_parties_of_trips_lines_and_advances_are_shown_whole_where_asked(cast, day):
    driver, lender = cast["driver"], cast["lender"]
    for who, path, field in (
        (driver, f"/v1/trips/{day['trip']}", "driver"),
        (lender, f"/v1/advances/{day['advance']}", "borrower"),
        (lender, f"/v1/lines/{day['line']}", "lender"),
    ):
        alone = who.get(path, expand=field)
        listed = who.get(
            path.rpartition("/")[0], expand=field, **({"side": "lender"} if "adv" in path else {})
        )
        for shown in (alone, listed["data"][0]):
            assert shown["expanded"][field]["id"] == shown[field]
            assert shown["expanded"][field]["name_zh"]
        assert who.get(path)["expanded"] is None


def test_trip_line_and_advance_have_etags_that_guard_acts_on_them(system, cast, day):
    for who, path in (
        ("consignee", f"/v1/trips/{day['trip']}"),
        ("lender", f"/v1/advances/{day['advance']}"),
        ("lender", f"/v1/lines/{day['line']}"),
    ):
        auth = {"Authorization": f"Bearer {cast[who]._token}"}
        tag = system.http.get(path, headers=auth).headers["etag"]
        assert system.http.get(path, headers=auth | {"If-None-Match": tag}).status_code == 304
    lender = {"Authorization": f"Bearer {cast['lender']._token}"}
    path = f"/v1/advances/{day['advance']}"
    tag = system.http.get(path, headers=lender).headers["etag"]

    def retry(match, word):
        headers = lender | {"If-Match": match, "Idempotency-Key": f"retry-{word}"}
        return system.http.post(f"{path}/retry", headers=headers)

    assert retry('"of yesterday"', "stale").json()["code"] == "precondition_failed"
    assert system.http.get(path, headers=lender | {"If-None-Match": tag}).status_code == 304


def test_a_receipt_is_signed_once(cast, day):
    form = cast["consignee"].get(f"/v1/deliveries/{day['trip']}/confirmation")
    with pytest.raises(ClientError) as refused:
        cast["consignee"].post(
            f"/v1/deliveries/{day['trip']}/confirmation", cast["consignee"].sign(form["to_sign"])
        )
    assert (refused.value.status, refused.value.reason) == (409, "unexpected_state")
    assert "confirmed already" in refused.value.problem["detail"]


def test_what_is_owed_grows_by_the_day_and_the_books_agree(system, cast, day):
    lender = cast["lender"]
    owed = lender.get(f"/v1/advances/{day['advance']}", day="2026-02-26")
    assert owed["principal_due_fen"] == 86_400
    assert owed["fee_fen"] == 86
    assert owed["interest_fen"] > 0
    assert owed["payoff_fen"] == sum(
        owed[name] for name in ("principal_due_fen", "fee_fen", "interest_fen", "penalty_fen")
    )
    balance = lender.get("/v1/ledger/trial-balance")
    assert balance["balanced"]
    assert {row["account"] for row in balance["data"]} >= {"loan_principal", "vault_free"}
    with system.container.write() as services:
        assert services.finance.reconcile(system.container.find_handled_block()) == []
    assert lender.get("/v1/audit")["differences"] == []
    assert lender.get(f"/v1/lines/{day['line']}")["drawn_fen"] == 86_400


def test_the_debtor_was_told_word_for_word_and_his_signature_proves_it(cast, day):
    path = f"/v1/advances/{day['advance']}/notice"
    told = cast["lender"].get(path)
    assert told["hash"] == document_hash(told["content"])
    assert told["content"]["assignee"] == str(cast["lender"].party)
    assert told["content"]["debtor"] == str(cast["carrier"].party)
    assert told["content"]["freight_fen"] > 0
    assert told["content"]["payment_reference"].startswith("YD")
    assert "546" in told["content"]["words"]["en"] or "545" in told["content"]["words"]["en"]
    assert told["shown_at"] <= told["acknowledged_at"]
    assert told["channel"] == "api"
    assert cast["carrier"].get(path) == told  # seen again, nothing moves
    for name in ("driver", "stranger"):
        with pytest.raises(ClientError) as refused:
            cast[name].get(path)
        assert refused.value.status == 404


def test_the_portfolio_is_told_by_debtor_and_by_lane_to_its_own_lender(cast, day):
    found = cast["lender"].get("/v1/portfolio")
    assert (found["outstanding_fen"], found["loans"]) == (86_400, 1)
    assert [(one["name"], one["bps"]) for one in found["debtors"]] == [
        (str(cast["carrier"].party), 10_000)
    ]
    (lane,) = found["lanes"]
    assert (lane["name"], lane["outstanding_fen"]) == ("码头堆场 → 西站货场", 86_400)
    assert found["top_lane_bps"] == 10_000
    for other in ("haulier", "stranger"):
        nothing = cast[other].get("/v1/portfolio")
        assert (nothing["loans"], nothing["lanes"], nothing["vintages"]) == (0, [], [])


def test_every_table_of_the_portfolio_is_a_workbook_and_a_csv_of_the_same_figures(
    system, cast, day
):
    def file(table, form):
        answer = system.http.get(
            "/v1/portfolio/file",
            params={"table": table, "format": form},
            headers={"Authorization": f"Bearer {cast['lender']._token}"},
        )
        assert answer.status_code == 200, answer.text
        assert f"portfolio-{table}-" in answer.headers["content-disposition"]
        return answer.content

    for table, name in (
        ("ageing", "current"), ("classes", "normal"), ("debtors", str(cast["carrier"].party)),
        ("lanes", "码头堆场 → 西站货场"), ("borrowers", str(cast["haulier"].party)),
        ("vintages", found_month(cast)),
    ):  # fmt: skip
        rows = list(csv.reader(io.StringIO(file(table, "csv").decode("utf-8-sig"))))
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(file(table, "xlsx")))
        sheet = [[_as_told(cell) for cell in row] for row in book.get_sheet_by_index(0).to_python()]
        assert len(rows) == len(sheet) >= 2, table
        assert rows[0] == sheet[0]
        (own,) = [row for row in rows[1:] if row[0] == name]
        assert "864.00" in own, own
    refused = system.http.get(
        "/v1/portfolio/file",
        params={"table": "secrets"},
        headers={"Authorization": f"Bearer {cast['lender']._token}"},
    )
    assert refused.status_code == 422


def _as_told(cell):
    return str(int(cell)) if isinstance(cell, float) else str(cell)


def found_month(cast):
    (vintage,) = cast["lender"].get("/v1/portfolio")["vintages"]
    return vintage["month"]


def test_the_trip_was_told_while_it_drove(cast, day):
    live = cast["consignor"].get(f"/v1/trips/{day['trip']}/live")
    codes = [alert["code"] for alert in live["alerts"]]
    assert codes[0] == "arrived"
    assert "departed" in codes
    assert all(alert["says"] and alert["raised"] >= alert["at"] for alert in live["alerts"])
    progress = live["progress"]
    assert progress["arrived_at"] == live["alerts"][0]["at"]
    assert progress["along_m"] > 0.9 * progress["length_m"]
    since = cast["driver"].get(f"/v1/trips/{day['trip']}/live", since=live["alerts"][0]["raised"])
    assert [alert["code"] for alert in since["alerts"]] == ["arrived"]
    told = cast["consignee"].get("/v1/events", type="trip.alerted")["data"]
    assert {one["body"]["data"]["facts"]["code"] for one in told} == set(codes)


def test_the_drive_is_told_in_reports_to_its_own_parties_alone(cast, day):
    road = {
        "name": "report road",
        "origin": "loading yard",
        "destination": "works gate",
        "plan": plan(),
    }
    gate = road["plan"]["delivery"]
    asked = f"yard:{gate['lon']},{gate['lat']},{GATE_RADIUS_M}"
    far = "sea:-30.0,10.0 -30.0,11.0 -29.0,11.0"
    for who in ("carrier", "stranger"):
        cast[who].post("/v1/routes", road)
    crossed = cast["carrier"].get("/v1/reports/areas", area=[asked, far])
    assert [row["area"] for row in crossed["data"]] == ["yard"]
    assert plain(crossed["data"][0]["trip"]) == day["trip"]
    assert 0 < crossed["data"][0]["inside_m"] < 10_000
    assert (crossed["examined"], crossed["has_more"], crossed["next_cursor"]) == (1, False, None)
    stood = cast["carrier"].get("/v1/reports/stops", least_s=60)
    assert stood["examined"] == 1
    own = {
        place
        for one in cast["carrier"].get("/v1/routes")["data"]
        for place in (one["origin"], one["destination"])
    }
    assert {row["place"] for row in stood["data"]} <= own | {"elsewhere"}
    assert stood["data"]
    assert all(row["trips"] == 1 and row["longest_s"] >= 60 for row in stood["data"])
    left = cast["carrier"].get("/v1/reports/deviations", route="report road")
    assert (left["examined"], left["route"]) == (1, "report road")
    assert left["length_m"] > 1_000
    learned = cast["carrier"].get("/v1/routes/report road/learned")
    assert (learned["drives"], learned["least_support"]) == (1, 1)
    assert [plain(trip) for trip in learned["trips"]] == [day["trip"]]
    assert len(learned["planned_route"]) > 2
    assert learned["stretches"][0]["from_m"] == 0
    assert cast["stranger"].get("/v1/reports/areas", area=[asked])["data"] == []
    assert cast["stranger"].get("/v1/reports/stops")["examined"] == 0
    assert cast["stranger"].get("/v1/reports/deviations", route="report road")["examined"] == 0
    nothing = cast["stranger"].get("/v1/routes/report road/learned")
    assert (nothing["drives"], nothing["planned_route"], nothing["trips"]) == (0, [], [])
    with pytest.raises(ClientError) as refused:
        cast["stranger"].get("/v1/reports/areas", area=["yard: here"])
    assert (refused.value.status, refused.value.reason) == (422, "invalid_value")


def test_nobody_else_sees_the_money_or_the_drive(cast, day):
    stranger = cast["stranger"]
    for path in (
        f"/v1/trips/{day['trip']}",
        f"/v1/trips/{day['trip']}/live",
        f"/v1/advances/{day['advance']}",
        f"/v1/advances/{day['advance']}/approval",
        f"/v1/lines/{day['line']}",
        f"/v1/waybills/{day['ids']['t2']}",
        f"/v1/waybills/{day['ids']['t2']}/settlements",
        f"/v1/deliveries/{day['trip']}/confirmation",
        "/v1/audit",
    ):
        with pytest.raises(ClientError) as refused:
            stranger.get(path)
        assert refused.value.status == 404, path
    for who in ("stranger", "driver", "lender"):
        with pytest.raises(ClientError) as refused:
            cast[who].get(f"/v1/trips/{day['trip']}/evidence")
        assert refused.value.status == 403
    assert stranger.get("/v1/trips")["data"] == []
    assert stranger.get("/v1/ledger/trial-balance")["data"] == []


def test_a_debtor_pays_and_the_loan_takes_its_share(system, cast, day):
    client, note = system.container.client, Hash32("0x" + "b2" * 32)
    from chain.bindings.freight_settlement import FreightSettlement

    account = client.fetch(FreightSettlement.collection_account(day["ids"]["t1"]))
    receipt = MintReceipt(note, account, 104_000, 20_490)
    domain = client.domain("SettlementToken")
    signatures = [key(name).sign_typed_data(receipt, domain) for name in ("bank one", "bank two")]
    system.send(SettlementToken.mint(receipt, *signatures), "freight")
    path = f"/v1/waybills/{day['ids']['t1']}/settlements"
    cast["carrier"].post(path, {"reference": "BANK-1"})
    system.settle()
    (shared,) = cast["haulier"].get(path)["data"]
    assert shared["received_fen"] == 104_000
    assert shared["to_loans_fen"] >= 86_400
    assert shared["received_fen"] == sum(
        shared[name]
        for name in ("to_loans_fen", "to_children_fen", "to_performer_fen", "refunded_fen")
    )
    assert cast["lender"].get(f"/v1/advances/{day['advance']}")["state"] == "repaid"


def test_fund_flows_tell_the_lender_what_the_bank_has_paid_and_nobody_else(system, cast, day):
    (payout,) = cast["driver"].get("/v1/payouts")["data"]
    days = {"first": "2026-01-01", "last": "2026-12-31"}
    assert cast["lender"].get("/v1/fund-flows", **days)["data"] == []  # queued is not paid
    sequence = Hash32("0x" + "c3" * 32)
    receipt = PayoutReceipt(Hash32(plain(payout["id"])), sequence, 20_490)
    domain = system.container.client.domain("SettlementToken")
    signatures = [key(name).sign_typed_data(receipt, domain) for name in ("bank one", "bank two")]
    system.send(SettlementToken.confirm_payout(receipt, *signatures), "paid out")
    (flow,) = cast["lender"].get("/v1/fund-flows", **days)["data"]
    assert (flow["sequence"], flow["document"]) == (sequence, f"YD{'C3' * 16}")
    assert (flow["payee"], flow["amount_fen"]) == (f"pty_{cast['driver'].party}", 86_400)
    assert tuple(plain(flow[kind]) for kind in ("trip", "advance", "waybill")) == (
        day["trip"], day["advance"], day["ids"]["t2"],
    )  # fmt: skip
    assert (flow["shipping_note"], flow["serial"], flow["plate"]) == (
        "YD20260126-003", "0101", "苏A·4716",
    )  # fmt: skip
    paid = dt.datetime.fromisoformat(flow["paid_at"]).astimezone(BEIJING)
    for side in ("driver", "haulier", "carrier", "stranger"):  # the lender's own, and no other's
        assert cast[side].get("/v1/fund-flows", **days)["data"] == []

    def file(who, form, **asked):
        return system.http.get(
            "/v1/fund-flows/file",
            params=asked | {"format": form},
            headers={"Authorization": f"Bearer {cast[who]._token}"},
        )

    text = file("lender", "csv", **days)
    assert text.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(text.content.decode("utf-8-sig")))
    assert (row["单证号"], row["实际支付金额"], row["总金额"]) == (
        flow["document"],
        "864.000",
        "864.000",
    )
    assert (row["付款方式代码"], row["托运单号"]) == ("32", "YD20260126-003")
    assert row["日期时间"] == paid.strftime("%Y%m%d%H%M%S")
    book = python_calamine.CalamineWorkbook.from_filelike(
        io.BytesIO(file("lender", "xlsx", **days).content)
    )
    head, cells = book.get_sheet_by_name("资金流水单").to_python()
    assert dict(zip(head, cells, strict=True)) == row
    (empty,) = file("stranger", "csv", **days).text.splitlines()
    assert empty.startswith("\ufeff单证号,")
    next_day = (paid.date() + dt.timedelta(days=1)).isoformat()
    assert cast["lender"].get("/v1/fund-flows", first=next_day, last=next_day)["data"] == []
    on_day = paid.date().isoformat()
    assert len(cast["lender"].get("/v1/fund-flows", first=on_day, last=on_day)["data"]) == 1
    for first, last in (
        ("2026-02-01", "2026-01-01"),
        ("2024-01-01", "2026-01-01"),
        ("0001-01-01", "0001-01-02"),
    ):
        assert file("lender", "csv", first=first, last=last).status_code == 422


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_pages_tell_the_day_in_both_languages(system, cast, day, lang):
    home = system.http.get("/", params={"lang": lang}, headers={"accept": "text/html"})
    assert f"/trips/{day['trip']}" in home.text
    listed = system.http.get("/firm/waybills", params={"lang": lang})
    assert "YD20260126-003" in listed.text
    page = system.http.get(f"/trips/{day['trip']}", params={"lang": lang})
    assert page.status_code == 200
    for words in (
        ("码头堆场 → 西站货场", "苏A·4716"),
        ("放款", "收货人签收") if lang == "zh" else ("Advance released", "Receipt signed"),
    ):
        for word in words:
            assert word in page.text
    assert "¥864.00" in page.text
    visible = re.sub(r"<details>.*?</details>|<[^>]*>", "", page.text, flags=re.DOTALL)
    assert "0x" not in visible, "hashes belong to the auditors' list"
    drawn = system.http.get(f"/trips/{day['trip']}/map.svg", params={"lang": lang})
    assert drawn.headers["content-type"] == "image/svg+xml"
    assert drawn.text.startswith("<svg")
    assert ("计划线路" if lang == "zh" else "planned road") in drawn.text
    assert system.http.get("/ledger", params={"lang": lang}).status_code == 200
