"""Photos and papers through the door: known by their bytes, bounded, seen by those concerned alone."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import pytest
from PIL import Image

from api.media import MOST_BYTES, MediaRefusedError, sniff
from tests.integration.api.test_waybills import draft


def photo(form="JPEG", size=(64, 48), colour=(20, 90, 160)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, colour).save(made, form)
    return made.getvalue()


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb() -> bytes:
    """A small PNG that says it is 60,000 x 60,000."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def waybill(system, firms):
    body = draft(system, firms, "consignor", "carrier", shipping_note="YD-DOC")
    return firms["carrier"].post("/v1/waybills", body)["id"]


def send(system, firm, content, *, kind="image/jpeg", once="", **query):
    return system.http.post(
        "/v1/documents",
        params=query,
        content=content,
        headers={
            "Authorization": f"Bearer {firm._token}",
            "Idempotency-Key": once or hashlib.sha256(content + str(query).encode()).hexdigest(),
            "Content-Type": kind,
        },
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (photo("JPEG"), "image/jpeg"),
        (photo("PNG"), "image/png"),
        (photo("WEBP"), "image/webp"),
        (PDF, "application/pdf"),
    ],
)
def test_a_file_is_kept_whole_and_named_by_its_hash(system, firms, waybill, content, kind):
    shown = send(
        system,
        firms["carrier"],
        content,
        kind=kind,
        about=waybill,
        purpose="contract",
        name="合同.x",
    )
    assert shown.status_code == 201, shown.text
    body = shown.json()
    assert body["sha256"] == "0x" + hashlib.sha256(content).hexdigest()
    assert (body["media_type"], body["size"], body["about"]) == (kind, len(content), waybill)
    assert body["id"].startswith("doc_")
    headers = {"Authorization": f"Bearer {firms['consignor']._token}"}
    back = system.http.get(body["url"], headers=headers)
    assert back.content == content
    assert back.headers["content-type"] == kind
    assert back.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in back.headers["content-security-policy"]


def test_the_same_file_about_the_same_thing_is_kept_once(system, firms, waybill):
    content = photo(colour=(1, 2, 3))
    first = send(system, firms["carrier"], content, once="same-1", about=waybill).json()
    again = send(system, firms["carrier"], content, once="same-1", about=waybill)
    assert again.headers["idempotent-replayed"] == "true"
    other = send(system, firms["carrier"], content, once="same-2", about=waybill).json()
    assert again.json() == other == first


def test_a_stranger_sees_no_document_and_sends_none(system, firms, waybill):
    kept = send(system, firms["carrier"], photo(colour=(9, 9, 9)), about=waybill).json()
    headers = {"Authorization": f"Bearer {firms['stranger']._token}"}
    for path in (f"/v1/documents/{kept['id']}", kept["url"], f"/v1/documents?about={waybill}"):
        assert system.http.get(path, headers=headers).status_code == 404, path
    answer = system.http.delete(
        f"/v1/documents/{kept['id']}", headers=headers | {"Idempotency-Key": "stranger"}
    )
    assert answer.status_code == 404
    assert send(system, firms["stranger"], photo(), about=waybill).status_code == 404
    seen = system.http.get(
        f"/v1/documents?about={waybill}",
        headers={"Authorization": f"Bearer {firms['consignor']._token}"},
    ).json()
    assert kept["id"] in {one["id"] for one in seen["data"]}


def test_only_its_owner_takes_content_away_and_the_hash_stands(system, firms, waybill):
    content = photo(colour=(70, 1, 1))
    kept = send(system, firms["carrier"], content, about=waybill, name="face.jpg").json()
    path = f"/v1/documents/{kept['id']}"
    once = {"Idempotency-Key": "erase"}
    other = {"Authorization": f"Bearer {firms['consignor']._token}"} | once
    mine = {"Authorization": f"Bearer {firms['carrier']._token}"} | once
    assert system.http.delete(path, headers=other).status_code == 404
    gone = system.http.delete(path, headers=mine).json()
    assert (gone["sha256"], gone["name"]) == (kept["sha256"], "")
    assert system.http.delete(path, headers=mine).json() == gone  # the kept answer
    mine["Idempotency-Key"] = "erase-again"
    assert system.http.delete(path, headers=mine).json() == gone
    answer = system.http.get(kept["url"], headers=other)
    assert (answer.status_code, answer.json()["code"]) == (410, "content_gone")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"GIF89a" + b"\0" * 50, "none of"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "none of"),
        (b"PK\x03\x04" + b"\0" * 50, "none of"),
        (b"MZ" + b"\0" * 50, "none of"),
        (photo("PNG")[:60], "damaged"),
        (photo("JPEG")[:-40], "damaged"),
        (b"\xff\xd8\xff" + b"\0" * 99, "damaged"),
        (PDF[:-8], "cut short"),
        (bomb(), "pixels"),
        (b"\xff\xd8\xff" + b"\0" * MOST_BYTES, "at most"),
    ],
)
def test_a_bad_file_is_told_and_not_kept(system, firms, content, says):
    with pytest.raises(MediaRefusedError, match=says):
        sniff(content)
    body = draft(system, firms, "consignor", "carrier", shipping_note="YD-BAD")
    about = firms["carrier"].post("/v1/waybills", body, once="bad-doc")["id"]
    answer = send(system, firms["carrier"], content, about=about, kind="application/octet-stream")
    assert (answer.status_code, answer.json()["code"]) == (422, "media_refused")
    assert answer.json()["field"] == "body"
    assert firms["carrier"].get("/v1/documents", about=about)["data"] == []
    assert system.http.get("/v1/health").status_code == 200


def test_a_content_type_that_lies_is_refused(system, firms, waybill):
    for kind in ("image/png", "text/html", "image/svg+xml", "multipart/form-data; boundary=x", ""):
        answer = send(system, firms["carrier"], photo(colour=(5, 6, 7)), kind=kind, about=waybill)
        assert (answer.status_code, answer.json()["field"]) == (422, "Content-Type"), kind


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"about": "wb_12"}, "about"),
        ({"about": "doc_" + "0a" * 12}, "about"),
        ({}, "about"),
        ({"about": "pty_7", "purpose": "fun"}, "purpose"),
        ({"about": "pty_7", "name": "a\u202egpj.exe"}, "name"),
    ],
)
def test_a_wrong_question_is_named(system, firms, query, field):
    answer = send(system, firms["carrier"], photo(), **query)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_what_a_party_has_sent_is_paged_in_both_directions(system, firms, waybill):
    mine = firms["consignor"]
    for shade in range(5):
        send(system, mine, photo(colour=(shade, 200, 0)), about=waybill)
    first = mine.get("/v1/documents", limit=2)
    assert (len(first["data"]), first["has_more"]) == (2, True)
    second = mine.get("/v1/documents", limit=2, starting_after=first["next_cursor"])
    back = mine.get("/v1/documents", limit=2, ending_before=second["data"][0]["id"])
    assert back["data"] == first["data"]
