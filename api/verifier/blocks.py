"""What a chain proves by hashes alone: headers, transactions, receipts and state, from one trusted hash down.

A block's hash is that of its header; the header names its parent and holds the roots of three trees:
transactions, receipts, state. A leaf is proven by the nodes between it and the root (Yellow Paper,
sections 4 and appendix D). Nothing here knows what a waybill is.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rlp
from eth_utils.crypto import keccak
from trie.hexary import HexaryTrie

from api.verifier.pack import PackRefusedError
from chain.abi import address, hash32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chain.ids import Address, Hash32

MOST_HEADER_FIELDS = 21
_HEX = re.compile("0x(?:[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True)
class Header:
    """A block's header, read from the bytes that hash to the block's hash."""

    hash: Hash32
    parent: Hash32
    number: int
    at: dt.datetime
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes

    @classmethod
    def read(cls, raw: bytes) -> Header:
        """A header from its RLP bytes.

        Raises:
            PackRefusedError: they are no header.
        """
        items = rlp.decode(raw)
        if not isinstance(items, list) or not 15 <= len(items) <= MOST_HEADER_FIELDS:
            raise PackRefusedError("a header has 15 to 21 fields", field="headers.json")
        return cls(
            hash=hash32(keccak(raw)),
            parent=hash32(items[0]),
            number=int.from_bytes(items[8], "big"),
            at=dt.datetime.fromtimestamp(int.from_bytes(items[11], "big"), dt.UTC),
            state_root=items[3],
            transactions_root=items[4],
            receipts_root=items[5],
        )


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a transaction asked: to whom, with which data. Who sent it has no authority here."""

    hash: Hash32
    chain_id: int | None
    to: Address | None
    data: bytes

    @classmethod
    def read(cls, raw: bytes) -> Transaction:
        """A transaction from its bytes (EIP-2718), legacy or of type 1 or 2.

        Raises:
            PackRefusedError: of another type.
        """
        if raw[0] >= 0xC0:
            items, first = rlp.decode(raw), 3
            v = int.from_bytes(items[6], "big")  # EIP-155: 35 + 2 x chain id + parity
            chain_id = (v - 35) // 2 if v >= 35 else None
        elif raw[0] in {1, 2}:
            items = rlp.decode(raw[1:])
            first, chain_id = 3 + raw[0], int.from_bytes(items[0], "big")
        else:
            raise PackRefusedError(f"a transaction of type {raw[0]}", field="blocks.json")
        to, data = items[first], items[first + 2]
        where = address("0x" + to.hex()) if to else None
        return cls(hash32(keccak(raw)), chain_id, where, data)


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a receipt."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of a transaction."""

    succeeded: bool
    logs: tuple[Log, ...]

    @classmethod
    def read(cls, raw: bytes) -> Receipt:
        """A receipt from its bytes."""
        status, _, _, logs = rlp.decode(raw if raw[0] >= 0xC0 else raw[1:])
        return cls(
            status == b"\1",
            tuple(
                Log(address("0x" + where.hex()), tuple(topics), data)
                for where, topics, data in logs
            ),
        )


class Nodes:
    """Nodes of trees by their hashes; remembers which were needed."""

    def __init__(self, given: Iterable[str]) -> None:
        self._nodes = {keccak(raw): raw for raw in map(_bytes, given)}
        self._used = _Used(self._nodes)

    def get(self, root: bytes, key: bytes) -> bytes:
        """The value at a key of the tree with this root; b"" if the tree proves that there is none.

        Raises:
            MissingTrieNode: the nodes do not lead from the root to the key.
        """
        found: bytes = HexaryTrie(self._used, root)[key]
        return found

    @property
    def unused(self) -> int:
        """Nodes that no proof needed: what does not prove anything does not belong in a pack."""
        return len(self._nodes.keys() - self._used.seen)


class _Used(dict[bytes, bytes]):
    """A database of nodes that writes down what was asked for."""

    def __init__(self, nodes: Mapping[bytes, bytes]) -> None:
        super().__init__(nodes)
        self.seen: set[bytes] = set()

    def __getitem__(self, key: bytes) -> bytes:
        found = super().__getitem__(key)
        self.seen.add(key)
        return found


@dataclass(frozen=True, slots=True)
class Account:
    """A contract in the state: the root of its storage and the hash of its code."""

    storage_root: bytes
    code_hash: Hash32

    @classmethod
    def prove(cls, nodes: Nodes, state_root: bytes, where: Address) -> Account | None:
        """The account at an address, None if the state proves that there is none."""
        raw = nodes.get(state_root, keccak(bytes.fromhex(where[2:])))
        if not raw:
            return None
        _, _, storage_root, code_hash = rlp.decode(raw)
        return cls(storage_root, hash32(code_hash))

    def slot(self, nodes: Nodes, slot: int) -> int:
        """The 256-bit word in a slot of the storage."""
        raw = nodes.get(self.storage_root, keccak(slot.to_bytes(32, "big")))
        return int.from_bytes(rlp.decode(raw), "big") if raw else 0


def read_headers(given: Any) -> dict[int, Header]:
    """Headers by number; the numbers rise, and each rests on the one before it where that is given.

    Raises:
        PackRefusedError: out of order, or a header that does not name its parent.
    """
    headers: dict[int, Header] = {}
    last = -1
    for raw in given:
        header = Header.read(_bytes(raw))
        if header.number <= last:
            raise PackRefusedError("headers stand out of order", field="headers.json")
        before = headers.get(header.number - 1)
        if before is not None and before.hash != header.parent:
            raise PackRefusedError(
                f"block {header.number} does not rest on block {before.number}",
                field="headers.json",
            )
        headers[header.number] = header
        last = header.number
    return headers


class HeaderChain:
    """The hashes of an unbroken run of blocks: 32 bytes a block, however many there are."""

    def __init__(self) -> None:
        self._first = 0
        self._hashes = bytearray()

    def add(self, raw: bytes) -> None:
        """The next header, by the bytes that hash to its hash.

        Raises:
            PackRefusedError: it does not rest on the one before.
        """
        header = Header.read(raw)
        if not self._hashes:
            self._first = header.number
        elif (header.number, header.parent) != (self._first + len(self), self.last):
            raise PackRefusedError(
                f"block {header.number} does not rest on the one before", field="headers"
            )
        self._hashes += bytes.fromhex(header.hash[2:])

    def __len__(self) -> int:
        return len(self._hashes) // 32

    @property
    def last(self) -> Hash32:
        """The hash of the last block; it vouches for all before it."""
        return hash32(bytes(self._hashes[-32:]))

    @property
    def last_number(self) -> int:
        """The number of the last block."""
        return self._first + len(self) - 1

    def has(self, header: Header) -> bool:
        """True if this header is one of the run."""
        at = (header.number - self._first) * 32
        own = bytes(self._hashes[at : at + 32]) if at >= 0 else b""
        return own == bytes.fromhex(header.hash[2:])


def trusted_numbers(headers: Mapping[int, Header], hashes: Iterable[Hash32]) -> set[int]:
    """The blocks that are ancestors of, or are, blocks with these hashes."""
    by_hash = {header.hash: header for header in headers.values()}
    found: set[int] = set()
    for one in hashes:
        header = by_hash.get(one)
        while header is not None and header.number not in found:
            found.add(header.number)
            header = by_hash.get(header.parent)
    return found


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str) or not _HEX.fullmatch(text):
        raise PackRefusedError("bytes are written 0x and lower-case hex digits", field="hex")
    return bytes.fromhex(text[2:])
