"""Waybills through the door: one by one, as a file, signed, seen by those concerned alone."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json

import pytest

from api.client import ClientError
from chain.clock import rfc3339
from tests.integration.api.system import plan


@pytest.fixture(scope="module", autouse=True)
def road(firms):
    for name in ("carrier", "haulier"):
        firms[name].post(
            "/v1/routes",
            {"name": "N-W", "origin": "北站", "destination": "西站", "plan": plan()},
        )


def window(system, hours=6):
    now = system.now()
    return {
        "load_from": rfc3339(now.replace(microsecond=0)),
        "deliver_by": rfc3339(now.replace(microsecond=0) + dt.timedelta(hours=hours)),
    }


def draft(system, firms, issuer, performer, **change):
    body = {
        "issuer": str(firms[issuer].party),
        "performer": str(firms[performer].party),
        "consignee": str(firms["consignee"].party),
        "shipping_note": "YD-1",
        "goods": "糖",
        "quantity_milli": 12_000,
        "freight_fen": 120_000,
        "term_days": 30,
        **window(system),
    }
    return body | change


LEAF = {"serial": "0101", "plate": "苏A·4F738", "terminal": "13800014733", "route": "N-W"}


def refused(call, *args, **options):
    with pytest.raises(ClientError) as error:
        call(*args, **options)
    return error.value


def test_three_tiers_are_drafted_signed_and_issued(system, firms):
    carrier = firms["carrier"]
    root = carrier.post("/v1/waybills", draft(system, firms, "consignor", "carrier"))
    middle = carrier.post(
        "/v1/waybills",
        draft(system, firms, "carrier", "haulier", parent=root["id"], freight_fen=104_000),
    )
    leaf = carrier.post(
        "/v1/waybills",
        draft(system, firms, "haulier", "driver", parent=middle["id"], freight_fen=86_400) | LEAF,
    )
    assert root["waits_for"] == [f"pty_{firms[n].party}" for n in ("consignor", "carrier")]

    for waybill, sides in (
        (root, ("consignor", "carrier")),
        (middle, ("carrier", "haulier")),
        (leaf, ("haulier", "driver")),
    ):
        for side in sides:
            firms[side].sign_waybill(waybill["id"])
    system.settle()

    shown = firms["driver"].get(f"/v1/waybills/{leaf['id']}")
    assert shown["stage"] == "issued", shown
    assert shown["papers"]["plate"] == "苏A·4F738"
    assert "document_salt" not in shown["papers"]
    assert shown["to_sign"] is None
    trip = firms["consignee"].get(f"/v1/trips/{shown['trip']}")
    assert [trip["state"], trip["serial"], trip["freight_fen"]] == ["open", "0101", 86_400]
    assert trip["chain"] == [root["id"], middle["id"], leaf["id"]]
    assert [event["event"] for event in trip["timeline"]].count("WaybillIssued") == 3


def test_a_stranger_sees_nothing_and_signs_nothing(system, firms):
    waybill = firms["carrier"].post(
        "/v1/waybills", draft(system, firms, "consignor", "carrier", shipping_note="YD-2")
    )
    path = f"/v1/waybills/{waybill['id']}"
    assert refused(firms["stranger"].get, path).status == 404
    nothing = refused(firms["stranger"].get, "/v1/waybills/0x" + "77" * 32)
    assert nothing.problem["detail"] == refused(firms["stranger"].get, path).problem["detail"]
    body = {"signature": "0x" + "11" * 65}
    assert refused(firms["stranger"].post, f"{path}/signatures", body).status == 404
    assert waybill["id"] not in {w["id"] for w in firms["stranger"].get("/v1/waybills")["data"]}


def test_a_signature_of_another_key_is_refused(system, firms):
    waybill = firms["carrier"].post(
        "/v1/waybills", draft(system, firms, "consignor", "carrier", shipping_note="YD-3")
    )
    shown = firms["consignor"].get(f"/v1/waybills/{waybill['id']}")
    forged = firms["stranger"].sign(shown["to_sign"])["signature"]
    problem = refused(
        firms["consignor"].post, f"/v1/waybills/{waybill['id']}/signatures", {"signature": forged}
    )
    assert (problem.status, problem.reason) == (422, "signature_refused")
    assert problem.problem["field"] == "signature"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"freight_fen": -1}, "freight_fen"),
        ({"freight_fen": 0}, "freight_fen"),
        ({"freight_fen": 1.5}, "freight_fen"),
        ({"freight_fen": "100"}, "freight_fen"),
        ({"freight_fen": 2**53}, "freight_fen"),
        ({"quantity_milli": 0}, "quantity_milli"),
        ({"issuer": "abc"}, "issuer"),
        ({"issuer": 12}, "issuer"),
        ({"colour": "red"}, "colour"),
        ({"load_from": "2026-01-26 15:50"}, "load_from"),
        ({"load_from": 1_700_000_000}, "load_from"),
        ({"goods": "a\u202eb"}, "goods"),
        ({"parent": "0x" + "99" * 32}, "parent"),
        ({"issuer": "4242"}, "issuer"),
    ],
)
def test_a_wrong_field_is_named(system, firms, change, field):
    body = draft(system, firms, "consignor", "carrier", shipping_note="YD-4") | change
    problem = refused(firms["carrier"].post, "/v1/waybills", body)
    assert problem.status in {404, 422}
    assert problem.problem["field"] == field
    assert problem.problem["detail"]
    assert problem.problem["request_id"].startswith("req_")


def test_a_lone_surrogate_is_refused_and_not_stored(system, firms):
    body = draft(system, firms, "consignor", "carrier", shipping_note="YD-4") | {"goods": "\ud800"}
    answer = system.http.post(
        "/v1/waybills",
        content=json.dumps(body),
        headers={
            "Authorization": f"Bearer {firms['carrier'].open_key()}",
            "Idempotency-Key": "surrogate",
            "Content-Type": "application/json",
        },
    )
    assert answer.status_code == 422
    assert answer.json()["field"] == "goods"


def test_half_a_leaf_names_what_is_missing(system, firms):
    body = draft(system, firms, "haulier", "driver") | LEAF
    del body["terminal"]
    problem = refused(firms["haulier"].post, "/v1/waybills", body)
    assert "terminal is missing" in problem.problem["detail"]


def test_a_child_dearer_than_its_parent_is_refused_with_both_numbers(system, firms):
    carrier = firms["carrier"]
    root = carrier.post(
        "/v1/waybills", draft(system, firms, "consignor", "carrier", shipping_note="YD-5")
    )
    child = draft(
        system, firms, "carrier", "haulier", shipping_note="YD-5", parent=root["id"],
        freight_fen=120_001,
    )  # fmt: skip
    problem = refused(carrier.post, "/v1/waybills", child)
    assert problem.reason == "waybill_does_not_close"
    assert problem.problem["facts"] == {"sum_fen": 120_001, "parent_fen": 120_000}


def test_the_same_request_is_done_once(system, firms):
    body = draft(system, firms, "consignor", "carrier", shipping_note="YD-6")
    carrier = firms["carrier"]
    first = carrier.post("/v1/waybills", body, once="k-6")
    assert carrier.post("/v1/waybills", body, once="k-6") == first
    other = refused(carrier.post, "/v1/waybills", body | {"freight_fen": 1}, once="k-6")
    assert (other.status, other.reason) == (422, "idempotency_key_reused")
    found = [
        w for w in carrier.get("/v1/waybills", limit=100)["data"]
        if w["papers"]["shipping_note"] == "YD-6"
    ]  # fmt: skip
    assert len(found) == 1


def test_pages_follow_their_cursor_to_the_end(system, firms):
    carrier = firms["carrier"]
    everything = carrier.get("/v1/waybills", limit=100)["data"]
    seen, cursor = [], None
    while True:
        page = carrier.get("/v1/waybills", limit=2, starting_after=cursor)
        seen += page["data"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert [w["id"] for w in seen] == [w["id"] for w in everything]
    assert len(seen) > 4


# -- files ------------------------------------------------------------------------------------------


def rows_of(system, firms, note):
    base = {
        "consignee": firms["consignee"].party, "shipping_note": note, "goods": "糖",
        "quantity_milli": 12_000, "term_days": 30, **window(system),
    }  # fmt: skip
    tiers = (
        ("consignor", "carrier", 120_000),
        ("carrier", "haulier", 104_000),
        ("haulier", "driver", 86_400),
    )
    rows = []
    for tier, (issuer, performer, freight) in enumerate(tiers):
        row = base | {
            "ref": f"{note}/{tier}", "parent_ref": f"{note}/{tier - 1}" if tier else "",
            "issuer": firms[issuer].party, "performer": firms[performer].party, "freight_fen": freight,
        }  # fmt: skip
        rows.append(row | (LEAF if tier == 2 else {}))
    return rows


def as_csv(rows):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def notes(client):
    return {w["papers"]["shipping_note"] for w in client.get("/v1/waybills", limit=100)["data"]}


def test_a_file_carries_a_whole_chain(system, firms):
    answer = firms["carrier"].post_file(
        "/v1/waybills/import", as_csv(rows_of(system, firms, "F-1"))
    )
    assert answer["imported"] == 3
    leaf = firms["driver"].get(f"/v1/waybills/{answer['waybills']['F-1/2']}")
    assert leaf["parent"] == answer["waybills"]["F-1/1"]
    assert leaf["tier"] == 2


def test_a_file_in_the_regulators_words_and_charset(system, firms):
    rows = rows_of(system, firms, "F-2")
    names = {
        "shipping_note": "托运单号",
        "serial": "分段分单号",
        "plate": "车牌号",
        "issuer": "托运人",
    }
    named = [{names.get(key, key): value for key, value in row.items()} for row in rows]
    answer = firms["carrier"].post_file(
        "/v1/waybills/import",
        as_csv(named).decode().encode("gb18030"),
        content_type="text/csv; charset=gb18030",
    )
    assert answer["imported"] == 3


def test_one_bad_row_refuses_the_whole_file(system, firms):
    rows = rows_of(system, firms, "F-3") + rows_of(system, firms, "F-4")
    rows[4]["freight_fen"] = "1040.50"
    problem = refused(firms["carrier"].post_file, "/v1/waybills/import", as_csv(rows))
    assert problem.reason == "rows_refused"
    found = {(row["row"], row["column"]): row["message"] for row in problem.problem["rows"]}
    assert "'1040.50' is not a whole number" in found[6, "freight_fen"]
    assert "its parent on line 6 is refused" in found[7, "parent_ref"]
    assert not {"F-3", "F-4"} & notes(firms["carrier"])


def test_only_the_good_rows_by_choice(system, firms):
    rows = rows_of(system, firms, "F-5") + rows_of(system, firms, "F-6")
    rows[3]["freight_fen"] = -5
    answer = firms["carrier"].post_file("/v1/waybills/import?mode=good", as_csv(rows))
    assert answer["imported"] == 3
    assert [(row["row"], row["column"]) for row in answer["refused"]] == [
        (5, "freight_fen"),
        (6, "parent_ref"),
        (7, "parent_ref"),
    ]
    assert "F-5" in notes(firms["carrier"])
    assert "F-6" not in notes(firms["carrier"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("goods", "colour", 1), "unknown column 'colour'"),
        (lambda text: text.replace("goods", "freight_fen", 1), "column 'freight_fen' stands twice"),
        (lambda text: text.replace("ref,", "parent,", 1), "column 'ref' is missing"),
        (lambda _: "", "the file is empty"),
        (lambda text: text.encode("gb18030"), "is not utf-8 text"),
        (lambda text: text + '"open', "line"),
    ],
)
def test_a_file_that_is_no_table_is_refused(system, firms, change, says):
    text = as_csv(rows_of(system, firms, "F-7")).decode()
    given = change(text)
    data = given if isinstance(given, bytes) else given.encode()
    problem = refused(firms["carrier"].post_file, "/v1/waybills/import", data)
    assert problem.status == 422
    assert says in problem.problem["detail"]
    assert "F-7" not in notes(firms["carrier"])


def test_a_stranger_cannot_take_up_anothers_numbers(system, firms):
    problem = refused(
        firms["stranger"].post_file, "/v1/waybills/import", as_csv(rows_of(system, firms, "F-8"))
    )
    assert problem.problem["rows"][0]["column"] == "issuer"


def test_the_number_of_questions_does_not_grow_with_the_page(system, firms):
    rows = []
    for number in range(4):
        chain = rows_of(system, firms, f"Q-{number}")
        chain[2] |= {"plate": f"苏Q·{number}", "terminal": f"1390000000{number}"}
        rows += chain
    ids = firms["carrier"].post_file("/v1/waybills/import", as_csv(rows))["waybills"]
    for number in range(4):
        for tier, sides in enumerate(
            (("consignor", "carrier"), ("carrier", "haulier"), ("haulier", "driver"))
        ):
            for side in sides:
                firms[side].sign_waybill(ids[f"Q-{number}/{tier}"])
    system.settle()
    asked = {}
    for limit in (1, 100):
        with system.counting() as seen:
            page = firms["driver"].get("/v1/trips", limit=limit)
        asked[limit] = len(seen)
        assert len(page["data"]) >= min(limit, 5)
    assert page["has_more"] is False
    assert asked[100] <= asked[1] + 1, asked
    with system.counting() as seen:
        listed = system.http.get("/firm/waybills").text
    assert listed.count("Q-") >= 4
    assert len(seen) < 20, seen
    walked, cursor = [], None
    while True:
        one = firms["driver"].get("/v1/trips", limit=2, starting_after=cursor)
        walked += [trip["id"] for trip in one["data"]]
        cursor = one["next_cursor"]
        if not one["has_more"]:
            break
    assert walked == [trip["id"] for trip in page["data"]]


def test_a_signature_after_its_time_is_refused(system, firms):
    late = system.now().replace(microsecond=0) + dt.timedelta(seconds=120)
    body = draft(system, firms, "consignor", "carrier", shipping_note="LATE", sign_by=rfc3339(late))
    waybill = firms["carrier"].post("/v1/waybills", body)
    shown = firms["consignor"].get(f"/v1/waybills/{waybill['id']}")
    signature = firms["consignor"].sign(shown["to_sign"])["signature"]
    system.later(late + dt.timedelta(seconds=1))
    problem = refused(
        firms["consignor"].post,
        f"/v1/waybills/{waybill['id']}/signatures",
        {"signature": signature},
    )
    assert (problem.reason, problem.problem["field"]) == ("signature_refused", "expires")
    body["sign_by"] = rfc3339(late)
    problem = refused(firms["carrier"].post, "/v1/waybills", body)
    assert problem.problem["field"] == "expires"
