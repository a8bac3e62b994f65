"""Proves what a node says about a block from the block's own hash.

A block's hash is the hash of its header; the header holds the root of its receipts. So a receipt that
was lost, added or changed on the way, by accident or not, does not fit and is not believed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trie.hexary import HexaryTrie

from chain.errors import ChainUnavailableError
from chain.keccak import keccak

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
        found = "0x" + keccak(encode_rlp(items)).hex()
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
        found = "0x" + _root_of([_receipt(receipt) for receipt in receipts]).hex()
        hashes = [receipt["transactionHash"] for receipt in receipts]
        blocks = {receipt["blockHash"] for receipt in receipts}
    except (KeyError, TypeError, ValueError) as error:
        raise UnprovenAnswerError("the node's receipts cannot be read") from error
    if found != body.get("receiptsRoot") or hashes != body.get("transactions"):
        raise UnprovenAnswerError("the node's receipts are not those of the block")
    if blocks - {body.get("hash")}:
        raise UnprovenAnswerError("the node's receipts are of another block")


def encode_rlp(item: bytes | list[Any]) -> bytes:
    """RLP of bytes and lists of them (Yellow Paper, appendix B).

    The rlp package guesses types on the way and takes ten times as long; a test compares the two.
    """
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _rlp_length(len(item), 0x80) + item
    body = b"".join([encode_rlp(one) for one in item])
    return _rlp_length(len(body), 0xC0) + body


def _rlp_length(length: int, offset: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    digits = whole_bytes(length)
    return bytes([offset + 55 + len(digits)]) + digits


def whole_bytes(number: int) -> bytes:
    """An integer as RLP has it: big-endian, no zero in front, nothing for zero."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _root_of(values: Sequence[bytes]) -> bytes:
    """The root of a list: a Merkle Patricia trie under the RLP of each value's index."""
    if len(values) == 1:  # one leaf with the key 0x80: most blocks of ours
        return keccak(encode_rlp([b"\x20\x80", values[0]]))
    tree = HexaryTrie({})  # not pruned: it is thrown away, and three times faster
    for at, value in enumerate(values):
        tree[encode_rlp(whole_bytes(at))] = value
    return bytes(tree.root_hash)


def _receipt(receipt: Mapping[str, Any]) -> bytes:
    kind = int(receipt.get("type") or "0x0", 16)
    logs = [
        [_raw(log["address"]), [_raw(topic) for topic in log["topics"]], _raw(log["data"])]
        for log in receipt["logs"]
    ]
    body = encode_rlp(
        [
            whole_bytes(int(receipt["status"], 16)),
            whole_bytes(int(receipt["cumulativeGasUsed"], 16)),
            _raw(receipt["logsBloom"]),
            logs,
        ]
    )
    return bytes([kind]) + body if kind else body


def _item(body: Mapping[str, Any], name: str) -> bytes:
    return whole_bytes(int(body[name], 16)) if name in NUMBERS else _raw(body[name])


def _raw(value: str) -> bytes:
    return bytes.fromhex(value.removeprefix("0x"))
