"""Where our transactions stand on the chain: found by their hashes, proven by their blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chain.abi import hash32
from chain.client import block_ref, body_at
from chain.wire import NodeError, raw_bytes, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chain.client import ChainClient
    from chain.ids import Address, Hash32
    from chain.intents import Attempt
    from chain.ports import BlockRef


@dataclass(frozen=True, slots=True)
class View:
    """The chain as one round trip has shown it.

    Attributes:
        nonce: how many transactions of the account are in blocks.
        asked: the heights whose blocks were asked for.
        blocks: those blocks, as far as the chain reaches.
        heights: where the node says that our transactions are; nothing of it is proven.
    """

    genesis: Hash32
    head: BlockRef
    nonce: int
    asked: frozenset[int]
    blocks: Mapping[int, BlockRef]
    heights: frozenset[int]


@dataclass(frozen=True, slots=True)
class Landing:
    """A transaction of ours found in a block of the chain."""

    block: BlockRef
    position: int
    transaction_hash: Hash32
    gas_used: int
    succeeded: bool
    is_void: bool


def look(
    client: ChainClient, account: Address, *, heights: Iterable[int], hashes: Sequence[str]
) -> View:
    """One round trip: the chain's ends, the account's nonce, blocks, and where transactions are said to be.

    Args:
        client: the chain.
        account: whose transactions are counted.
        heights: of the blocks whose hashes are to be compared.
        hashes: of the transactions looked for.
    """
    wanted = sorted(set(heights))
    answers = client.request_many(
        [
            body_at(0),
            ("eth_getBlockByNumber", ["latest", False]),
            ("eth_getTransactionCount", [account, "latest"]),
            *(body_at(height) for height in wanted),
            *(("eth_getTransactionReceipt", [one]) for one in hashes),
        ]
    )
    genesis, head, nonce, *rest = answers
    for one in (genesis, head, nonce):
        if isinstance(one, NodeError):
            raise one
    blocks = {}
    for height, answer in zip(wanted, rest, strict=False):
        body = client.believe_body(answer, height)
        if body is not None:
            blocks[height] = block_ref(body)
    return View(
        genesis=client.believe(genesis).hash,
        head=client.believe(head),
        nonce=whole(nonce),
        asked=frozenset(wanted),
        blocks=blocks,
        heights=_heights(rest[len(wanted) :]),
    )


def find_landings(
    client: ChainClient, view: View, attempts: Mapping[int, Sequence[Attempt]]
) -> dict[int, Landing]:
    """Which rows stand in the blocks at the heights of a view: the blocks' own roots prove it."""
    if not view.heights:
        return {}
    ours = {one.hash: one for tries in attempts.values() for one in tries}
    landed: dict[int, Landing] = {}
    for body, receipts in client.fetch_blocks(view.heights):
        for position, receipt in enumerate(receipts):
            attempt = ours.get(receipt["transactionHash"])
            if attempt is None:
                continue
            before = whole(receipts[position - 1]["cumulativeGasUsed"]) if position else 0
            landed[attempt.outgoing_id] = Landing(
                block=block_ref(body),
                position=position,
                transaction_hash=hash32(raw_bytes(attempt.hash)),
                gas_used=whole(receipt["cumulativeGasUsed"]) - before,
                succeeded=whole(receipt["status"]) == 1,
                is_void=attempt.is_void,
            )
    return landed


def _heights(receipts: Sequence[Any]) -> frozenset[int]:
    return frozenset(
        whole(one.get("blockNumber"))
        for one in receipts
        if isinstance(one, dict) and one.get("blockNumber")
    )
