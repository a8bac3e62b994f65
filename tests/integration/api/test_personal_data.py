"""What is kept of a person: shown to him, agreed to by him, erased at his word while the trail stands."""

from __future__ import annotations

import hashlib

import pytest

from chain.document import document_hash
from chain.ids import Hash32
from tests.integration.api.people import open_account, signed_in

TEXT = "0x" + hashlib.sha256(b"the words he was shown").hexdigest()


@pytest.fixture(scope="module")
def driver(system):
    party = system.party("private driver", "driver")
    open_account(system, party, "zhang")
    return party


def everything(system) -> bytes:
    """The database's files as they lie on disk, the log included."""
    return b"".join(path.read_bytes() for path in system.settings.var.glob("yundan.db*"))


def test_a_person_gets_all_that_is_kept_of_him(system, driver):
    browser = signed_in(system, "zhang")
    data = browser.get("/v1/personal-data").json()["data"]
    assert data["account"]["login"] == "zhang"
    assert data["party"]["name_zh"] == "private driver公司"
    assert data["asked_for"][0]["what"] == "export"
    by_key = driver.get("/v1/personal-data")["data"]
    assert "account" not in by_key
    assert by_key["party"]["id"] == str(driver.party)


def test_a_firms_key_is_no_person(system):
    firm = system.party("impersonal firm")
    headers = {"Authorization": f"Bearer {firm._token}"}
    assert system.http.get("/v1/personal-data", headers=headers).status_code == 403
    open_account(system, firm, "firm boss")
    data = signed_in(system, "firm boss").get("/v1/personal-data").json()["data"]
    assert "party" not in data


def test_consents_are_given_to_words_listed_and_taken_back(system, driver):
    browser = signed_in(system, "zhang")
    given = browser.post("/v1/consents", json={"purpose": "positions", "text_hash": TEXT}).json()
    again = browser.post("/v1/consents", json={"purpose": "positions", "text_hash": TEXT}).json()
    assert given == again
    foreign = signed_in(system, "firm boss").request("DELETE", f"/v1/consents/{given['id']}")
    assert foreign.status_code == 404
    gone = browser.request("DELETE", f"/v1/consents/{given['id']}").json()
    assert gone["withdrawn_at"]
    assert browser.get("/v1/consents").json()["data"] == [gone]


def test_words_and_salt_of_what_is_signed_are_kept_and_open_the_hash(system, driver):
    with system.container.write() as services:
        document = services.papers.prepare(
            {"reason": "two boxes were wet"}, about="0x" + "07" * 32, party=driver.party
        )
        assert services.papers.list_about("0x" + "07" * 32) == []  # not signed yet
        services.papers.note_signed(document)
        services.papers.note_signed(Hash32("0x" + "00" * 32))  # worded elsewhere
    with system.container.read() as services:
        (paper,) = services.papers.list_about("0x" + "07" * 32)
    assert document_hash(paper.content, paper.salt) == document
    assert b"two boxes" not in everything(system)


def test_what_nobody_signed_is_forgotten(system, driver):
    import datetime as dt

    from api.jobs import forget_stale
    from chain.clock import FixedClock

    with system.container.write() as services:
        document = services.papers.prepare({"reason": "x"}, about="a", party=driver.party)
    wall = system.container.wall
    try:
        system.container.wall = FixedClock(wall.now() + dt.timedelta(days=3))
        assert forget_stale(system.container) >= 1
    finally:
        system.container.wall = wall
    with system.container.read() as services:
        assert services.papers.find(document) is None


def test_erasing_takes_the_content_and_leaves_the_trail(system, driver):
    browser = signed_in(system, "zhang")
    answer = browser.request("DELETE", "/v1/personal-data")
    assert answer.status_code == 200, answer.text
    counts = answer.json()["counts"]
    assert counts["accounts"] == 1
    assert counts["papers"] == 1
    assert browser.get("/v1/me").status_code == 401
    assert browser.sign_in("zhang").status_code == 401
    with system.container.read() as services:
        party = services.records.find_party(driver.party)
        assert party.name_zh == party.name_en == "(erased)"
        assert party.key is not None  # the trail
        (paper,) = services.papers.list_of(driver.party)
        assert (paper.content, paper.salt) == (None, None)
    again = driver.delete("/v1/personal-data")  # by his own key; twice is once
    assert again["counts"]["papers"] == 0


def test_a_backup_from_before_is_erased_again(system, driver):
    with system.container.write() as services:
        party = services.records.find_party(driver.party)
        import dataclasses

        services.records.save_party(dataclasses.replace(party, name_zh="back again"))
        assert services.persons.repeat_erasures() >= 1
    with system.container.read() as services:
        assert services.records.find_party(driver.party).name_zh == "(erased)"
