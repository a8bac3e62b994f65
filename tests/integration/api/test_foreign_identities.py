"""Every route with every identity: nobody, each role of another organisation, another party's key.

The objects are real: a waybill, a trip-less draft, a route, a member, an invitation, a key, a document, a
webhook, a proposal and a consent of one firm. Whoever has nothing to do with it may neither see nor move
any of them, whatever his role at home; what an object's answer would carry must not be in his.
"""

from __future__ import annotations

import datetime as dt
import json
import re

import pytest

from api.identity.roles import SCOPES_OF, Role
from chain.clock import rfc3339
from tests.integration.api.people import open_account, signed_in
from tests.integration.api.system import plan
from tests.integration.api.test_doors import OF_TERMINALS, OPEN, SAMPLE, operations

MARK = "Zq7Marker"
"""Stands in every name and note of the victim: it must be in no stranger's answer."""

PUBLIC = {
    ("get", "/v1/parties/{party}"),
    ("get", "/v1/parties/{party}/recovery"),
    ("get", "/v1/parties/{party}/recovery/cancellation"),
}
"""What every counterparty may know of a party: names, key, and that a key is about to change."""


@pytest.fixture(scope="module")
def victim(system):
    """A firm and its objects, by the name of the parameter of the path that they fill."""
    firm = system.party(MARK, "contract carrier")
    other = system.party(MARK + " driver", "driver")
    third = system.party(MARK + " consignee", "consignee")
    open_account(system, firm, "victim owner")
    owner = signed_in(system, "victim owner")
    firm.post("/v1/routes", {"name": MARK, "origin": MARK, "destination": MARK, "plan": plan()})
    now = system.now().replace(microsecond=0)
    waybill = firm.post(
        "/v1/waybills",
        {
            "issuer": str(firm.party), "performer": str(other.party), "consignee": str(third.party),
            "shipping_note": MARK, "goods": MARK, "quantity_milli": 1000, "freight_fen": 1000,
            "term_days": 30, "load_from": rfc3339(now),
            "deliver_by": rfc3339(now + dt.timedelta(hours=6)),
        },
    )  # fmt: skip
    invitation = owner.post("/v1/invitations", json={"role": "auditor"}).json()
    (member,) = owner.get("/v1/members").json()["data"]
    proposal = owner.post(
        "/v1/proposals", json={"method": "POST", "path": "/v1/vault", "body": {"note": MARK}}
    ).json()
    consent = owner.post(
        "/v1/consents", json={"purpose": "terms", "text_hash": "0x" + "12" * 32}
    ).json()
    (session,) = owner.get("/v1/sessions").json()["data"]
    (shown,) = firm.get("/v1/keys")["data"]
    objects = SAMPLE | {
        "party": str(firm.party), "waybill": waybill["id"], "member": member["id"],
        "invitation": invitation["id"], "proposal": proposal["id"], "consent": consent["id"],
        "session": session["id"], "key_id": shown["key_id"],
    }  # fmt: skip
    return firm, owner, objects


@pytest.fixture(scope="module")
def strangers(system):
    """One person of each role in another organisation, and that organisation's API key."""
    firm = system.party("stranger firm")
    open_account(system, firm, "stranger owner")
    found = {}
    for role in Role:
        if role is not Role.OWNER:
            open_account(system, firm, f"stranger {role}", role.value)
        found[role] = signed_in(system, f"stranger {role}")
    return firm, found


def walk(system, objects):
    for method, path, operation in operations(system):
        if path.startswith(OF_TERMINALS) or (method, path) in OPEN:
            continue
        filled = re.sub(r"{(\w+)}", lambda match: objects[match[1]], path)
        yield method, path, filled, operation


def is_about_the_victim(path):
    return re.search(r"{(party|waybill|member|invitation|proposal|consent|session|key_id)}", path)


def ask(send, method, filled, number):
    return send(
        method.upper(), filled,
        headers={"Idempotency-Key": f"walk-{number}"},
        json={} if method in {"post", "patch", "put"} else None,
    )  # fmt: skip


def test_no_stranger_of_any_role_sees_or_moves_anything_of_another_organisation(
    system, victim, strangers
):
    _, owner, objects = victim
    firm, people = strangers
    headers = {"Authorization": f"Bearer {firm._token}"}

    def by_key(method, path, **options):
        options["headers"] = options["headers"] | headers
        return system.http.request(method, path, **options)

    senders = {role.value: browser.request for role, browser in people.items()} | {"key": by_key}
    walked, leaked, moved = 0, [], []
    for number, (method, path, filled, _) in enumerate(walk(system, objects)):
        if (method, path) == ("delete", "/v1/personal-data"):
            continue  # a stranger's own data: asked for in its own test, since it ends him
        for who, send in senders.items():
            if method == "get" and who not in {"owner", "auditor", "key"}:
                continue  # every role reads by one scope; writes are walked by all of them
            answer = ask(send, method, filled, f"{number}-{who}")
            walked += 1
            assert answer.status_code < 500, (who, method, path, answer.text)
            if (method, path) in PUBLIC:
                continue
            if MARK in answer.text:
                leaked.append((who, method, path))
            if is_about_the_victim(path) and answer.is_success:
                moved.append((who, method, path, answer.status_code))
    assert not leaked
    assert not moved
    assert walked > 400
    # and everything stands as it stood
    assert owner.get("/v1/me").json()["role"] == "owner"
    assert all(not one["revoked_at"] for one in owner.get("/v1/invitations").json()["data"])
    assert all(not one["revoked_at"] for one in owner.get("/v1/keys").json()["data"])
    assert {one["state"] for one in owner.get("/v1/proposals").json()["data"]} == {"open"}
    assert not owner.get("/v1/consents").json()["data"][0]["withdrawn_at"]


def test_each_role_is_refused_what_its_scopes_do_not_allow(system, victim, strangers):
    """Within the own organisation: a role without a write's scope is told so, never served."""
    _, people = strangers
    _, _, objects = victim
    looker = people[Role.AUDITOR]
    assert SCOPES_OF[Role.AUDITOR] == {"read"}
    served = []
    for number, (method, path, filled, _) in enumerate(walk(system, objects)):
        if method == "get" or path.startswith(("/v1/me", "/v1/sessions", "/v1/consents")):
            continue  # a person's own affairs, whatever his role
        if path in {"/v1/personal-data", "/v1/jobs/exports"}:
            continue  # his own data; and an export only reads what he may read
        answer = ask(looker.request, method, filled, f"look-{number}")
        if answer.is_success:
            served.append((method, path))
    assert not served


def test_the_owner_of_the_objects_does_reach_them(system, victim):
    """The walk would prove nothing if these objects were not there."""
    firm, owner, objects = victim
    assert MARK in json.dumps(firm.get(f"/v1/waybills/{objects['waybill']}"), ensure_ascii=False)
    assert MARK in owner.get("/v1/proposals").text
    assert objects["member"] in owner.get("/v1/members").text
    assert objects["key_id"] in owner.get("/v1/keys").text
