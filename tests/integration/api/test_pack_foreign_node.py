"""A pack against a node that is not ours: another anvil that has replayed our blocks from its own genesis."""

from __future__ import annotations

import json
import urllib.request

import pytest

from api.audit.export import export_trip
from api.audit.record import transaction_bytes
from api.verifier.verify import verify_pack
from deploy.node import LocalChain
from tests.integration.api.forger import codes
from tests.integration.api.system import FIRST_BLOCK
from tests.integration.api.test_day import cast, day  # noqa: F401  fixtures

YES, NO = True, False
"""Arguments of the node: with whole transactions or without."""


def ask(url, method, *params):
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    request = urllib.request.Request(
        url, json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        body = json.load(answer)
    assert "error" not in body, body
    return body["result"]


def replay(ours, theirs, last):
    """Every block up to one, made again from its transactions alone, at its own time."""
    ask(theirs, "evm_setAutomine", NO)
    for number in range(1, last + 1):
        block = ask(ours, "eth_getBlockByNumber", hex(number), YES)
        for transaction in block["transactions"]:
            ask(theirs, "eth_sendRawTransaction", "0x" + transaction_bytes(transaction).hex())
        ask(theirs, "evm_setNextBlockTimestamp", int(block["timestamp"], 16))
        ask(theirs, "evm_mine")


@pytest.fixture(scope="module")
def foreign(system, day, tmp_path_factory):  # noqa: F811  a fixture taken by its name
    folder = tmp_path_factory.mktemp("foreign")
    done = export_trip(system.container, day["trip"], folder / "pack.zip")
    with LocalChain(folder / "node", first_block_at=FIRST_BLOCK, keep_state=False) as node:
        replay(system.chain.url, node.url, done.anchor)
        yield done, node


def test_a_node_that_executed_the_blocks_itself_comes_to_the_same_hash_and_vouches(foreign):
    done, node = foreign
    told = ask(node.url, "eth_getBlockByNumber", hex(done.anchor), NO)
    assert told["hash"] == done.anchor_hash
    report = verify_pack(done.path, rpc=node.url)
    assert report.verified, report.reds


def test_a_node_that_saw_another_last_block_does_not(foreign):
    done, node = foreign
    ask(node.url, "anvil_rollback", 1)
    ask(node.url, "evm_mine")
    report = verify_pack(done.path, rpc=node.url)
    assert codes(report) >= {"chain.node"}
    assert report.exit_code == 1
