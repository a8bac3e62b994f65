"""What happened, as the chain proves it: signed calls and events of the pack's blocks, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import rlp

from api.verifier.blocks import Nodes, Receipt, Transaction
from api.verifier.forms import doors
from api.verifier.pack import PackRefusedError
from chain.bindings.events import EVENTS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from api.verifier.blocks import Header, Log
    from chain.abi import Event, Struct
    from chain.ids import Address, Hash32

E = TypeVar("E")
Place = tuple[int, int, int]
"""(block, transaction, log): the order in which things happened."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A form that the chain took, with the signatures that came with it."""

    contract: str
    function: str
    form: Struct
    signers: tuple[str, ...]
    signatures: tuple[bytes, ...]
    transaction: Hash32
    at: dt.datetime
    place: Place


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of one of the contracts."""

    event: Any
    contract: str
    transaction: Hash32
    at: dt.datetime
    place: Place


@dataclass(slots=True)
class Story:
    """Signed forms and events of the pack, in the order of the chain."""

    signed: list[Signed] = field(default_factory=list)
    events: list[Happened] = field(default_factory=list)
    transactions: list[tuple[Hash32, int]] = field(default_factory=list)
    """Every proven transaction with its block."""

    def of(self, kind: type[E]) -> list[Happened]:
        """Events of a kind."""
        return [one for one in self.events if isinstance(one.event, kind)]

    def forms(self, kind: type[E]) -> list[Signed]:
        """Signed forms of a kind."""
        return [one for one in self.signed if isinstance(one.form, kind)]

    def in_transaction(self, transaction: Hash32) -> list[Happened]:
        """Events of one transaction."""
        return [one for one in self.events if one.transaction == transaction]


def read_story(
    given: Any, headers: Mapping[int, Header], contracts: Mapping[Address, str], chain_id: int
) -> Story:
    """Proves every transaction and receipt against its block's roots, and reads them.

    Raises:
        PackRefusedError: a block without header, a transaction of another chain or without success,
            a node that proves nothing.
        MissingTrieNode: a proof that does not lead to its root.
    """
    story = Story()
    last = -1
    for block in given:
        number, indexes = block["number"], block["indexes"]
        header = headers.get(number)
        if header is None or number <= last or indexes != sorted(set(indexes)) or not indexes:
            raise PackRefusedError(f"block {number} is out of order", field="blocks.json")
        last = number
        nodes = Nodes(block["nodes"])
        for index in indexes:
            key = rlp.encode(index)
            transaction = Transaction.read(nodes.get(header.transactions_root, key))
            receipt = Receipt.read(nodes.get(header.receipts_root, key))
            if transaction.chain_id not in {None, chain_id}:
                raise PackRefusedError(
                    f"transaction {transaction.hash} is of chain {transaction.chain_id}",
                    field="blocks.json",
                )
            if not receipt.succeeded:
                raise PackRefusedError(
                    f"transaction {transaction.hash} failed", field="blocks.json"
                )
            story.transactions.append((transaction.hash, number))
            _read_call(story, transaction, header, index, contracts)
            for position, log in enumerate(receipt.logs):
                contract, event = _read_log(log, contracts)
                if event is not None:
                    place = (number, index, position)
                    story.events.append(
                        Happened(event, contract, transaction.hash, header.at, place)
                    )
        if nodes.unused:
            raise PackRefusedError(
                f"{nodes.unused} nodes of block {number} prove nothing", field="blocks.json"
            )
    return story


def _read_call(
    story: Story,
    transaction: Transaction,
    header: Header,
    index: int,
    contracts: Mapping[Address, str],
) -> None:
    contract = contracts.get(transaction.to) if transaction.to is not None else None
    door = doors().get((contract or "", transaction.data[:4]))
    if door is None:
        return
    for form, signatures in door.read(transaction.data):
        story.signed.append(
            Signed(
                contract=door.contract,
                function=door.function,
                form=form,
                signers=door.signers,
                signatures=signatures,
                transaction=transaction.hash,
                at=header.at,
                place=(header.number, index, -1),
            )
        )


def _read_log(log: Log, contracts: Mapping[Address, str]) -> tuple[str, Event | None]:
    contract = contracts.get(log.address, "")
    kind = EVENTS.get(log.topics[0]) if contract and log.topics else None
    return contract, None if kind is None else kind.decode(log.topics, log.data)
