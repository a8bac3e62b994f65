"""Proves what a node says about a block from the block's own hash.

A block's hash is the hash of its header; the header holds the root of its receipts. So a receipt that
was lost, added or changed on the way, by accident or not, does not fit and is not believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eth_utils.crypto import keccak
from rlp.codec import encode_raw  # type: ignore[import-untyped]
from trie.hexary import HexaryTrie

from chain.errors import ChainUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NUMBERS = {"difficulty", "number", "gasLimit", "gasUsed", "timestamp"}
NUMBERS |= {"baseFeePerGas", "blobGasUsed", "excessBlobGas"}

FIELDS = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot"),
    *("logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData"),
    *("mixHash", "nonce"),
)
"""The header's fields in their order (Yellow Paper, section 4.3)."""

LATER_FIELDS = (
    "baseFeePerGas",  # London
    "withdrawalsRoot",  # Shanghai
    *("blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot"),  # Cancun
    "requestsHash",  # Prague
)
"""What later upgrades have appended; each is there from its upgrade on."""


class UnprovenAnswerError(ChainUnavailableError):
    """What the node says does not fit the block's own hash or roots."""

    code = "unproven_answer"


def prove_header(body: Mapping[str, Any]) -> None:
    """Checks that a block's header hashes to its hash.

    Networks that leave signatures out of the hash (QBFT's committed seals) cannot be checked so.

    Raises:
        UnprovenAnswerError: it does not, or a field is missing.
    """
    try:
        items = [_item(body, name) for name in FIELDS]
        items += [_item(body, name) for name in LATER_FIELDS if body.get(name) is not None]
        found = "0x" + keccak(encode_raw(items)).hex()
    except (KeyError, TypeError, ValueError) as error:
        raise UnprovenAnswerError("the node's block lacks a part of its header") from error
    if found != body.get("hash"):
        raise UnprovenAnswerError("the node's block does not hash to its own hash")


def prove_receipts(body: Mapping[str, Any], receipts: Sequence[Mapping[str, Any]]) -> None:
    """Checks that receipts are all of a block's, in order and unchanged.

    Raises:
        UnprovenAnswerError: they are not.
    """
    try:
        tree = HexaryTrie({})  # not pruned: it is thrown away, and three times faster
        for at, receipt in enumerate(receipts):
            tree[encode_raw(_whole(at))] = _receipt(receipt)
        found = "0x" + tree.root_hash.hex()
        hashes = [receipt["transactionHash"] for receipt in receipts]
        blocks = {receipt["blockHash"] for receipt in receipts}
    except (KeyError, TypeError, ValueError) as error:
        raise UnprovenAnswerError("the node's receipts cannot be read") from error
    if found != body.get("receiptsRoot") or hashes != body.get("transactions"):
        raise UnprovenAnswerError("the node's receipts are not those of the block")
    if blocks - {body.get("hash")}:
        raise UnprovenAnswerError("the node's receipts are of another block")


def _receipt(receipt: Mapping[str, Any]) -> bytes:
    kind = int(receipt.get("type") or "0x0", 16)
    logs = [
        [_raw(log["address"]), [_raw(topic) for topic in log["topics"]], _raw(log["data"])]
        for log in receipt["logs"]
    ]
    body: bytes = encode_raw(  # of bytes alone: no guessing of types, several times faster
        [
            _whole(int(receipt["status"], 16)),
            _whole(int(receipt["cumulativeGasUsed"], 16)),
            _raw(receipt["logsBloom"]),
            logs,
        ]
    )
    return bytes([kind]) + body if kind else body


def _item(body: Mapping[str, Any], name: str) -> bytes:
    return _whole(int(body[name], 16)) if name in NUMBERS else _raw(body[name])


def _whole(number: int) -> bytes:
    """An integer as RLP has it: big-endian, no zero in front, nothing for zero."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _raw(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))
