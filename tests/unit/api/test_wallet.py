"""The browser's wallet module against a provider in Node: it signs what is for this chain and account alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from api.portals import assets

MODULE = Path(assets.__file__).parent / "static" / "wallet.js"
PLAY = """
import { connect } from %s;
const asked = [];
const give = %s;
const provider = { request: async ({ method, params }) => { asked.push([method, params]); return give[method]; } };
const form = %s;
let got;
try { got = await (await connect(provider)).sign(form); } catch (error) { got = { error: error.code }; }
console.log(JSON.stringify({ got, asked }));
"""
ACCOUNT = "0x" + "aa" * 20
FORM = {
    "types": {"EIP712Domain": [], "Form": [{"name": "trip", "type": "bytes32"}]},
    "primaryType": "Form",
    "domain": {"chainId": 31337, "verifyingContract": "0x" + "11" * 20},
    "message": {"trip": "0x" + "01" * 32},
}
GIVES = {
    "eth_requestAccounts": [ACCOUNT],
    "eth_accounts": [ACCOUNT],
    "eth_chainId": "0x7a69",
    "eth_signTypedData_v4": "0x" + "12" * 65,
}


def play(gives=None, form=None):
    node = shutil.which("node")
    assert node, "Node is a requirement of the set-up"
    script = PLAY % (
        json.dumps(MODULE.as_uri()), json.dumps(GIVES | (gives or {})), json.dumps(FORM | (form or {})),
    )  # fmt: skip
    run = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-e", script],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return json.loads(run.stdout)


def test_a_wallet_is_asked_for_the_prepared_form_and_its_word_is_posted_back():
    told = play()
    assert told["got"] == {"message": FORM["message"], "signature": "0x" + "12" * 65}
    method, params = told["asked"][-1]
    assert method == "eth_signTypedData_v4"
    assert params[0] == ACCOUNT
    assert json.loads(params[1]) == FORM


@pytest.mark.parametrize(
    ("gives", "form", "code"),
    [
        ({"eth_chainId": "0x1"}, {}, "wrong_chain"),
        ({"eth_accounts": ["0x" + "bb" * 20]}, {}, "other_account"),
        ({"eth_requestAccounts": []}, {}, "no_account"),
        ({"eth_signTypedData_v4": "0x"}, {}, "not_signed"),
        ({}, {"domain": {"chainId": 31337}}, "no_contract"),
    ],
)
def test_nothing_is_signed_for_another_chain_account_or_no_contract(gives, form, code):
    told = play(gives, form)
    assert told["got"] == {"error": code}
    if code != "not_signed":
        assert "eth_signTypedData_v4" not in [method for method, _ in told["asked"]]
