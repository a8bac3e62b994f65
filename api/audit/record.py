"""The chain's part of a pack: which transactions tell a trip's story, and the proofs under each.

The node is asked for logs, blocks, receipts and state proofs; headers and trees are built again from what it
says, and nothing is written that does not hash to the block's own hash and roots.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import rlp
from eth_utils.crypto import keccak
from trie.hexary import HexaryTrie

from api.verifier.blocks import read_headers
from api.verifier.signatures import Who
from api.verifier.state import LAYOUTS
from api.verifier.story import read_story
from chain.abi import hash32
from chain.bindings import events, structs
from chain.bindings.freight_settlement import FreightSettlement
from chain.errors import ChainUnavailableError
from chain.headers import FIELDS, LATER_FIELDS, NUMBERS, UnprovenAnswerError
from chain.ids import NOBODY, Hash32, PartyId, TripId, WaybillId
from chain.wire import NodeError, raw_bytes, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from api.verifier.blocks import Header
    from api.verifier.story import Story
    from chain.client import ChainClient

RUN = 500
"""Headers asked at once."""
LONGEST_STRETCH = 20_000
"""Up to so many blocks the headers between are in the pack, so that one trusted hash vouches for all."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """The block at which a pack ends."""

    number: int
    hash: Hash32


@dataclass(slots=True)
class Record:
    """Blocks with their proofs, by number, and the headers that join them."""

    anchor: Anchor
    headers: dict[int, bytes] = field(default_factory=dict)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    parsed: dict[int, Header] = field(default_factory=dict)


def head_of(client: ChainClient) -> Anchor:
    """The node's present head as an anchor."""
    head = client.fetch_head()
    return Anchor(head.number, head.hash)


class Recorder:
    """Gathers the record of one trip.

    Args:
        client: the node, with its deployment.
        tell: called with a word and a count, for progress.
        anchor: where the record ends; the node's head unless given.
    """

    def __init__(
        self,
        client: ChainClient,
        tell: Callable[[str, int], None] | None = None,
        *,
        anchor: Anchor | None = None,
    ) -> None:
        self._client = client
        self._tell = tell or (lambda _word, _count: None)
        self._contracts = dict(sorted(client.deployment.contracts.items()))
        self.anchor = anchor or head_of(client)
        self._blocks: dict[int, dict[str, Any]] = {}

    # -- which transactions -----------------------------------------------------------------------

    def gather(self, trip: TripId, waybills: Sequence[WaybillId]) -> tuple[Record, Story]:
        """The record of a trip and the story that it proves.

        Raises:
            ChainUnavailableError: the node does not answer, or what it says proves nothing.
        """
        found: dict[int, set[int]] = {}
        self._logs(found, [None, [trip, *waybills]])
        asked = self._logs(found, [_topic(events.AdvanceRequested), None, None, trip])
        advances = sorted({log["topics"][1] for log in asked})
        lines = sorted({log["topics"][2] for log in asked})
        if advances:
            paid = [
                log
                for log in self._logs(found, [None, advances])
                if log["topics"][0] == _topic(events.PayeePaid)
            ]
            kinds = [
                _topic(kind) for kind in (events.LineOpened, events.LineChanged, events.LineRuleSet)
            ]
            self._logs(found, [kinds, lines])
            payouts = sorted({_payout(log) for log in paid})
            if payouts:
                self._logs(found, [None, payouts])
        self._logs(found, [_topic(events.Minted), None, self._collection_accounts(waybills)])
        self._logs(found, [[_topic(events.RegistrarChanged), _topic(events.CustodianChanged)]])
        story = self._read(found)
        parties = sorted(_parties(story))
        topics = ["0x" + party.to_bytes(32, "big").hex() for party in parties]
        self._logs(found, [None, topics], "PartyRegistry")
        kinds = [_topic(events.AttestorAdded), _topic(events.AttestorRemoved)]
        self._logs(found, [kinds], "DeliveryRegistry")
        record = self._prove(found)
        return record, self._read(found, record)

    def _collection_accounts(self, waybills: Sequence[WaybillId]) -> list[str]:
        """The token accounts into which freight is paid, as topics."""
        reads = [FreightSettlement.collection_account(one) for one in waybills]
        accounts = self._client.fetch_many(reads, block=self.anchor.hash)
        return ["0x" + one[2:].lower().rjust(64, "0") for one in accounts]

    def _logs(
        self, found: dict[int, set[int]], topics: list[Any], contract: str | None = None
    ) -> list[dict[str, Any]]:
        """Logs with these topics; notes their transactions."""
        where = [one.address for name, one in self._contracts.items() if contract in {None, name}]
        logs: list[dict[str, Any]] = self._client.request(
            "eth_getLogs",
            [
                {
                    "address": where,
                    "topics": topics,
                    "fromBlock": hex(self._client.deployment.first_block),
                    "toBlock": hex(self.anchor.number),
                }
            ],
        )
        for log in logs:
            found.setdefault(whole(log["blockNumber"]), set()).add(whole(log["transactionIndex"]))
        return logs

    def _read(self, found: Mapping[int, set[int]], record: Record | None = None) -> Story:
        record = record or self._prove(found)
        headers = read_headers("0x" + record.headers[at].hex() for at in sorted(record.headers))
        names = {one.address: name for name, one in self._contracts.items()}
        return read_story(record.blocks, headers, names, self._client.chain_id)

    # -- proofs -----------------------------------------------------------------------------------

    def _prove(self, found: Mapping[int, set[int]]) -> Record:
        self._fetch_blocks(found)
        record = Record(self.anchor)
        for number in sorted(found):
            block = self._blocks[number]
            record.headers[number] = header_bytes(block["body"])
            indexes = sorted(found[number])
            nodes: dict[bytes, None] = {}
            for tree in (block["transactions"], block["receipts"]):
                for index in indexes:
                    nodes |= dict.fromkeys(rlp.encode(n) for n in tree.get_proof(rlp.encode(index)))
            record.blocks.append(
                {
                    "number": number,
                    "indexes": indexes,
                    "nodes": ["0x" + node.hex() for node in nodes],
                }
            )
        return record

    def _fetch_blocks(self, found: Mapping[int, set[int]]) -> None:
        numbers = sorted(found.keys() - self._blocks.keys())
        bodies = self._many(("eth_getBlockByNumber", [hex(number), True]) for number in numbers)
        hashes = [one["hash"] for body in bodies for one in body["transactions"]]
        receipts = iter(self._many(("eth_getTransactionReceipt", [one]) for one in hashes))
        for number, body in zip(numbers, bodies, strict=True):
            sent = body["transactions"]
            own = [next(receipts) for _ in sent]
            self._blocks[number] = {
                "body": body,
                "transactions": _tree(map(transaction_bytes, sent), body["transactionsRoot"]),
                "receipts": _tree(map(receipt_bytes, own), body["receiptsRoot"]),
            }
            self._tell("blocks", len(self._blocks))

    def join(self, record: Record, *, unbroken: bool = True) -> None:
        """Adds the anchor's header, and those between the record's blocks and it unless others hold them."""
        needed = {*record.headers, self.anchor.number}
        first = min(needed)
        if unbroken and self.anchor.number - first <= LONGEST_STRETCH:
            needed = set(range(first, self.anchor.number + 1))
        missing = sorted(needed - record.headers.keys())
        bodies = self._many(("eth_getBlockByNumber", [hex(number), False]) for number in missing)
        for number, body in zip(missing, bodies, strict=True):
            record.headers[number] = header_bytes(body)
        self._tell("headers", len(record.headers))
        if hash32(keccak(record.headers[self.anchor.number])) != self.anchor.hash:
            raise ChainUnavailableError("the chain moved while it was read; ask again")

    def prove_state(self, records: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """Account and storage proofs of records at the anchor.

        Args:
            records: (kind, id) pairs as ``api.verifier.state.LAYOUTS`` names them.
        """
        asked = sorted(records)
        slots: dict[str, list[str]] = {name: [] for name in self._contracts}
        for kind, key in asked:
            layout = LAYOUTS[kind]
            first = layout.first(key)
            slots[layout.contract] += [f"0x{first + word:064x}" for word in range(layout.words)]
        answers = self._many(
            ("eth_getProof", [self._contracts[name].address, keys, hex(self.anchor.number)])
            for name, keys in slots.items()
        )
        nodes: dict[str, None] = {}
        for answer in answers:
            nodes |= dict.fromkeys(answer["accountProof"])
            for slot in answer["storageProof"]:
                nodes |= dict.fromkeys(slot["proof"])
        return {
            "block": self.anchor.number,
            "records": [list(one) for one in asked],
            "nodes": list(nodes),
        }

    def _many(self, questions: Iterable[tuple[str, list[Any]]]) -> list[Any]:
        answers = self._client.request_many(list(questions))
        for answer in answers:
            if isinstance(answer, NodeError):
                raise answer
            if answer is None:
                raise ChainUnavailableError("the node lacks a block or receipt of its own chain")
        return answers


def _parties(story: Story) -> set[PartyId]:
    """Everybody who stands in a form or has signed one."""
    who = Who(story)
    found: set[PartyId] = set()
    for signed in story.signed:
        for word in signed.signers:
            signer = who.key(word, signed)
            if isinstance(signer, int):
                found.add(PartyId(signer))
        if isinstance(signed.form, structs.Waybill):
            form = signed.form
            found |= {form.issuer, form.performer, form.consignee}
    return found - {NOBODY}


def _topic(kind: type) -> str:
    topic: bytes = kind.TOPIC  # type: ignore[attr-defined]  # every event has one
    return "0x" + topic.hex()


def _payout(log: Mapping[str, Any]) -> str:
    topics = [raw_bytes(topic) for topic in log["topics"]]
    return events.PayeePaid.decode(topics, raw_bytes(log["data"])).payout


def read_run(client: ChainClient, first: int, last: int) -> Iterator[bytes]:
    """The headers of blocks ``first`` to ``last``, as they are hashed, a few hundred at a time.

    Raises:
        ChainUnavailableError: the node lacks one of them, or it does not hash to its own hash.
    """
    for start in range(first, last + 1, RUN):
        numbers = range(start, min(start + RUN, last + 1))
        asked = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        for body in client.request_many(asked):
            if isinstance(body, NodeError) or body is None:
                raise ChainUnavailableError("the node lacks a block of its own chain")
            yield header_bytes(body)


# -- bytes that hash -------------------------------------------------------------------------------


def header_bytes(body: Mapping[str, Any]) -> bytes:
    """A header as it is hashed.

    Raises:
        UnprovenAnswerError: the node's block does not hash to its own hash.
    """
    names = [*FIELDS, *(name for name in LATER_FIELDS if body.get(name) is not None)]
    raw: bytes = rlp.encode(
        [whole(body[name]) if name in NUMBERS else raw_bytes(body[name]) for name in names]
    )
    if hash32(keccak(raw)) != body["hash"]:
        raise UnprovenAnswerError("the node's block does not hash to its own hash")
    return raw


def transaction_bytes(body: Mapping[str, Any]) -> bytes:
    """A transaction as it stands in its block (EIP-2718): legacy, type 1 or 2.

    Raises:
        UnprovenAnswerError: of another type, or it does not hash to its own hash.
    """
    kind = whole(body.get("type") or "0x0")
    to = raw_bytes(body["to"] or "0x")
    call = [whole(body["gas"]), to, whole(body["value"]), raw_bytes(body["input"])]
    ends = [whole(body["v"]), whole(body["r"]), whole(body["s"])]
    nonce = whole(body["nonce"])
    if kind == 0:
        raw: bytes = rlp.encode([nonce, whole(body["gasPrice"]), *call, *ends])
    elif kind in {1, 2}:
        prices = ["gasPrice"] if kind == 1 else ["maxPriorityFeePerGas", "maxFeePerGas"]
        access = [
            [raw_bytes(one["address"]), [raw_bytes(key) for key in one["storageKeys"]]]
            for one in body.get("accessList") or ()
        ]
        head = [whole(body["chainId"]), nonce, *(whole(body[name]) for name in prices)]
        raw = bytes([kind]) + rlp.encode([*head, *call, access, *ends])
    else:
        raise UnprovenAnswerError(f"a transaction of type {kind} cannot be proven")
    if hash32(keccak(raw)) != body["hash"]:
        raise UnprovenAnswerError("the node's transaction does not hash to its own hash")
    return raw


def receipt_bytes(body: Mapping[str, Any]) -> bytes:
    """A receipt as it stands in its block (EIP-2718)."""
    kind = whole(body.get("type") or "0x0")
    logs = [
        [
            raw_bytes(log["address"]),
            [raw_bytes(one) for one in log["topics"]],
            raw_bytes(log["data"]),
        ]
        for log in body["logs"]
    ]
    head = [whole(body["status"]), whole(body["cumulativeGasUsed"]), raw_bytes(body["logsBloom"])]
    raw: bytes = rlp.encode([*head, logs])
    return bytes([kind]) + raw if kind else raw


def _tree(values: Iterable[bytes], root: str) -> HexaryTrie:
    tree = HexaryTrie({})
    for index, value in enumerate(values):
        tree[rlp.encode(index)] = value
    if hash32(tree.root_hash) != root:
        raise UnprovenAnswerError("the node's transactions or receipts are not all of its block's")
    return tree
