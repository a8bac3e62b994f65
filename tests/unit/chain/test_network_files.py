"""The files of a QBFT network, against the example Besu's documentation publishes."""

from __future__ import annotations

import json
import tomllib

from deploy.network.genesis import extra_data, genesis, write_network

PUBLISHED = (
    "0xf87aa00000000000000000000000000000000000000000000000000000000000000000f854"
    "9464a702e6263b7297a96638cac6ae65e6541f4169"
    "943923390ad55e90c237593b3b0e401f3b08a03185"
    "94aefdb9a738c9f433e5b6b212a6d62f6370c2f692"
    "94c7eeb9a4e00ce683cf93039b212648e01c6c6b78"
    "c080c0"
)
VALIDATORS = [
    bytes.fromhex(one)
    for one in (
        "64a702e6263b7297a96638cac6ae65e6541f4169",
        "3923390ad55e90c237593b3b0e401f3b08a03185",
        "aefdb9a738c9f433e5b6b212a6d62f6370c2f692",
        "c7eeb9a4e00ce683cf93039b212648e01c6c6b78",
    )
]


def test_extra_data_is_besus_published_example():
    assert extra_data(VALIDATORS) == PUBLISHED


def test_gas_costs_nothing_and_the_contracts_instruction_set_is_there():
    config = genesis(VALIDATORS)["config"]
    assert config["zeroBaseFee"] is True
    assert config["londonBlock"] == 0


def test_keys_are_made_once_kept_private_and_everybody_knows_everybody(tmp_path):
    first = write_network(tmp_path / "network")
    again = write_network(tmp_path / "network")
    assert [one.address for one in first] == [one.address for one in again]
    assert len({one.address for one in first}) == 4
    for number in range(1, 5):
        assert (tmp_path / f"network/node{number}/key").stat().st_mode & 0o077 == 0
    allowed = tomllib.loads((tmp_path / "network/permissions.toml").read_text())["nodes-allowlist"]
    assert allowed == json.loads((tmp_path / "network/static-nodes.json").read_text())
    assert allowed == [one.enode for one in first]
    body = json.loads((tmp_path / "network/genesis.json").read_text())
    assert all(one.address.hex() in body["extraData"] for one in first)
