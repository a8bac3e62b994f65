"""Two organisations act at random, each also with the other's ids: neither ever sees or moves what is the other's."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chain.clock import rfc3339
from tests.integration.api.people import open_account, signed_in
from tests.integration.api.system import plan

_numbers = itertools.count()
SIDES = st.sampled_from(["left", "right"])


@pytest.fixture(scope="module")
def two(system):
    made = {}
    for side in ("left", "right"):
        firm = system.party(f"two {side}", "contract carrier")
        open_account(system, firm, f"two {side}")
        made[side] = firm, signed_in(system, f"two {side}")
    made["driver"] = system.party("two driver", "driver")
    made["consignee"] = system.party("two consignee", "consignee")
    return made


def other(side):
    return "right" if side == "left" else "left"


def machine_over(system, two):
    class Organisations(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.mine = {
                side: {
                    k: []
                    for k in ("waybills", "invitations", "members", "keys", "proposals", "routes")
                }
                for side in ("left", "right")
            }

        def of(self, side, kind, at):
            held = self.mine[side][kind]
            return held[at % len(held)] if held else None

        @rule(side=SIDES)
        def draft(self, side):
            firm, _ = two[side]
            now = system.now().replace(microsecond=0)
            body = {
                "issuer": str(firm.party), "performer": str(two["driver"].party),
                "consignee": str(two["consignee"].party), "shipping_note": f"{side}-{next(_numbers)}",
                "goods": side, "quantity_milli": 1000, "freight_fen": 1000, "term_days": 30,
                "load_from": rfc3339(now), "deliver_by": rfc3339(now + dt.timedelta(hours=6)),
            }  # fmt: skip
            self.mine[side]["waybills"].append(firm.post("/v1/waybills", body)["id"])

        @rule(side=SIDES)
        def invite(self, side):
            made = two[side][1].post("/v1/invitations", json={"role": "auditor"}).json()
            self.mine[side]["invitations"].append(made["id"])

        @rule(side=SIDES)
        def open_key(self, side):
            ask = {"scopes": "read", "label": side}
            made = two[side][1].post("/v1/keys/own", json=ask).json()
            self.mine[side]["keys"].append(made["key_id"])

        @rule(side=SIDES)
        def propose(self, side):
            ask = {"method": "POST", "path": "/v1/vault", "body": {"side": side}}
            self.mine[side]["proposals"].append(
                two[side][1].post("/v1/proposals", json=ask).json()["id"]
            )

        @rule(side=SIDES)
        def keep_route(self, side):
            name = f"{side}-{next(_numbers)}"
            firm, _ = two[side]
            firm.post(
                "/v1/routes", {"name": name, "origin": "a", "destination": "b", "plan": plan()}
            )
            self.mine[side]["routes"].append(name)

        @rule(side=SIDES, at=st.integers(0, 50))
        def look_at_the_others_waybill(self, side, at):
            theirs = self.of(other(side), "waybills", at)
            if theirs:
                for path in (f"/v1/waybills/{theirs}", f"/v1/documents?about={theirs}"):
                    assert two[side][1].get(path).status_code in {404, 422}, path

        @rule(side=SIDES, at=st.integers(0, 50))
        def sign_the_others_waybill(self, side, at):
            theirs = self.of(other(side), "waybills", at)
            if theirs:
                answer = two[side][1].post(
                    f"/v1/waybills/{theirs}/signatures",
                    json={"signature": "0x" + "11" * 65},
                    headers={"Idempotency-Key": f"two-{next(_numbers)}"},
                )
                assert answer.status_code == 404

        @rule(side=SIDES, at=st.integers(0, 50))
        def touch_what_is_the_others(self, side, at):
            browser = two[side][1]
            tries = (
                ("DELETE", "/v1/invitations/{}", "invitations", None),
                ("DELETE", "/v1/keys/{}", "keys", None),
                ("PATCH", "/v1/keys/{}", "keys", {"allowed_from": ["10.0.0.0/8"]}),
                ("POST", "/v1/proposals/{}/approval", "proposals", None),
                ("POST", "/v1/proposals/{}/refusal", "proposals", {"reason": "mine now"}),
            )
            for method, path, kind, body in tries:
                theirs = self.of(other(side), kind, at)
                if theirs:
                    answer = browser.request(method, path.format(theirs), json=body)
                    assert answer.status_code == 404, (method, path)

        @rule(side=SIDES, at=st.integers(0, 50))
        def withdraw_ones_own(self, side, at):
            mine = self.of(side, "invitations", at)
            if mine:
                assert two[side][1].request("DELETE", f"/v1/invitations/{mine}").status_code == 200

        @invariant()
        def lists_hold_ones_own_alone(self):
            for side in ("left", "right"):
                browser, theirs = two[side][1], self.mine[other(side)]
                for path, kind in (
                    ("/v1/waybills", "waybills"), ("/v1/invitations", "invitations"),
                    ("/v1/keys", "keys"), ("/v1/proposals", "proposals"), ("/v1/routes", "routes"),
                ):  # fmt: skip
                    text = browser.get(path).text
                    assert not [one for one in theirs[kind] if one in text], (side, path)

    return Organisations


def test_two_organisations_never_meet(system, two):
    run_state_machine_as_test(
        machine_over(system, two),
        settings=settings(
            max_examples=5, stateful_step_count=12, deadline=None,
            suppress_health_check=list(HealthCheck), derandomize=True,
        ),
    )  # fmt: skip


@pytest.mark.deep
def test_two_organisations_never_meet_for_long(system, two):
    run_state_machine_as_test(
        machine_over(system, two),
        settings=settings(
            max_examples=150, stateful_step_count=40, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
