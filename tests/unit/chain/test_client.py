"""What a node may say, and what of it is believed. A real socket, a node that lies."""

from __future__ import annotations

import http.server
import json
import threading
from typing import ClassVar

import pytest
from eth_abi.abi import encode

from chain.bindings.errors import WaybillUnknown
from chain.bindings.waybill_registry import WaybillRegistry
from chain.client import ChainClient
from chain.deployments import Deployed, Deployment, find_deployment, save_deployment
from chain.errors import (
    ChainUnavailableError,
    ContractRefusedError,
    NotFoundError,
    WrongChainError,
)
from chain.ids import ZERO32, Address, Hash32, TripId
from chain.wire import NodeError

PLACE = Address("0x5FbDB2315678afecb367f032d93F642f64180aa3")
GENESIS = Hash32("0x" + "aa" * 32)
BLOCK = {"number": "0x0", "hash": GENESIS, "parentHash": ZERO32, "timestamp": "0x10"}


class Node(http.server.BaseHTTPRequestHandler):
    answers: ClassVar = {}
    bend = staticmethod(lambda body: body)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        one = lambda q: {"jsonrpc": "2.0", "id": q["id"], **self.answers[q["method"]]}  # noqa: E731  short enough to stand here
        body = [one(q) for q in asked] if isinstance(asked, list) else one(asked)
        raw = self.bend(body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(raw if isinstance(raw, bytes) else json.dumps(raw).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def node():
    Node.answers = {
        "eth_chainId": {"result": "0x5"},
        "eth_getBlockByNumber": {"result": BLOCK},
        "eth_getTransactionCount": {"result": "0x7"},
        "eth_call": {"result": "0x" + "00" * 32},
        "eth_getCode": {"result": "0x60"},
    }
    Node.bend = staticmethod(lambda body: body)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Node)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client(node):
    code = Hash32("0x" + __import__("eth_utils").keccak(b"\x60").hex())
    made = ChainClient(
        node,
        chain_id=5,
        deployment=Deployment(
            5, GENESIS, {"WaybillRegistry": Deployed(PLACE, 0, ZERO32, "v", code)}
        ),
        timeout_s=2,
        proves_headers=False,  # the node of this test makes its blocks up
    )
    yield made
    made.close()


def test_another_chain_id_is_refused(node):
    with pytest.raises(WrongChainError) as caught:
        ChainClient(node, chain_id=6)
    assert caught.value.facts == {"expected": 6, "found": 5}


def test_no_node_is_told_as_such():
    with pytest.raises(ChainUnavailableError):
        ChainClient("http://127.0.0.1:9", chain_id=5, timeout_s=1)


def test_the_deployment_is_checked_against_chain_and_code(client):
    client.check_deployment()
    Node.answers["eth_getCode"] = {"result": "0x6001"}
    with pytest.raises(WrongChainError, match="not WaybillRegistry"):
        client.check_deployment()
    Node.answers["eth_getBlockByNumber"] = {"result": {**BLOCK, "hash": "0x" + "bb" * 32}}
    with pytest.raises(WrongChainError, match="first block"):
        client.check_deployment()


@pytest.mark.parametrize(
    "bend",
    [
        lambda body: b"<html>busy</html>",
        lambda body: b"",
        lambda body: {**body, "id": 999_999},
        lambda body: {"jsonrpc": "2.0", "id": body["id"]},
        lambda body: [body],
        lambda body: {**body, "result": None},
        lambda body: {**body, "result": "0xzz"},
        lambda body: {**body, "result": {"number": "0x1"}},
        lambda body: {**body, "result": {**BLOCK, "number": "one"}},
        lambda body: {**body, "error": "bad"},
    ],
)
def test_an_answer_that_cannot_be_read_is_no_answer(client, bend):
    Node.bend = staticmethod(bend)
    with pytest.raises(ChainUnavailableError):
        client.fetch_head()


def test_a_batch_is_put_in_order_and_must_be_whole(client):
    ask = [("eth_getTransactionCount", [PLACE, "latest"]), ("eth_getCode", [PLACE, "latest"])]
    Node.bend = staticmethod(lambda body: body[::-1])
    assert client.request_many(ask) == ["0x7", "0x60"]
    Node.bend = staticmethod(lambda body: body[:1])
    with pytest.raises(ChainUnavailableError, match="left out"):
        client.request_many(ask)
    Node.bend = staticmethod(lambda body: body + body)
    assert client.request_many(ask) == ["0x7", "0x60"]


def test_a_refused_request_of_a_batch_stands_in_its_place(client):
    Node.answers["eth_getCode"] = {"error": {"code": -32000, "message": "nope"}}
    one, two = client.request_many(
        [("eth_getCode", [PLACE, "latest"]), ("eth_getTransactionCount", [PLACE, "latest"])]
    )
    assert isinstance(one, NodeError)
    assert one.text == "nope"
    assert two == "0x7"


def test_a_contracts_refusal_is_told_by_name(client):
    data = WaybillUnknown.SELECTOR + encode(["bytes32"], [b"\x05" * 32])
    Node.answers["eth_call"] = {
        "error": {"code": 3, "message": "execution reverted", "data": "0x" + data.hex()}
    }
    with pytest.raises(ContractRefusedError, match="WaybillUnknown") as caught:
        client.fetch(WaybillRegistry.leaf_of(TripId(ZERO32)))
    assert caught.value.facts["arguments"] == {"waybill": "0x" + "05" * 32}


def test_a_contract_the_deployment_does_not_know_is_told(client):
    with pytest.raises(NotFoundError, match="CreditFacility"):
        client.address_of("CreditFacility")
    assert client.domain("WaybillRegistry").verifying_contract == PLACE
    assert client.deployment.name_of(PLACE) == "WaybillRegistry"


def test_a_deployment_is_written_whole_and_read_back(tmp_path):
    made = Deployment(5, GENESIS, {"X": Deployed(PLACE, 3, ZERO32, "v", ZERO32)})
    save_deployment(tmp_path, made)
    assert find_deployment(tmp_path, 5) == made
    assert find_deployment(tmp_path, 6) is None
    assert made.first_block == 3
    assert [p.name for p in tmp_path.iterdir()] == ["5.json"]
