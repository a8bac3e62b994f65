"""Merkle trees of fixes in the form of OpenZeppelin's StandardMerkleTree, leaves in the order given.

A leaf is `keccak(keccak(abi.encode(uint32 index, uint64 time, int32 lat_e6, int32 lon_e6)))`; a parent is
the keccak of its two children, the smaller first, so that OpenZeppelin's MerkleProof.sol verifies a
proof. The tree is the array of `@openzeppelin/merkle-tree` (root at 0, leaves reversed at the end) made
with `sortLeaves: false`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chain.ids import Hash32
from chain.keccak import keccak
from tracking.refusals import MerkleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from tracking.fix import Fix

    Ints = NDArray[np.int64]

LEAF_ENCODING = ("uint32", "uint64", "int32", "int32")
EMPTY_ROOT = Hash32("0x" + "00" * 32)
"""The root of no fix at all; no leaf hashes to it."""

Leaf = tuple[int, int, int, int]
"""(index, unix seconds, latitude e6, longitude e6)."""

_WORD = 32


def leaves_of(fixes: Iterable[Fix]) -> list[Leaf]:
    """Leaves of ordered fixes, numbered from 0."""
    return [(index, fix.time, fix.lat_e6, fix.lon_e6) for index, fix in enumerate(fixes)]


def leaf_hash(leaf: Leaf) -> bytes:
    """The double keccak of the ABI encoding of a leaf.

    Raises:
        MerkleError: a number does not fit its Solidity type.
    """
    index, time, lat, lon = leaf
    if not (
        0 <= index < 1 << 32
        and 0 <= time < 1 << 64
        and -(1 << 31) <= lat < 1 << 31
        and -(1 << 31) <= lon < 1 << 31
    ):
        raise MerkleError("a leaf is (uint32, uint64, int32, int32)", leaf=list(leaf))
    # Two's complement over 32 bytes is what abi.encode gives signed and unsigned integers alike.
    encoded = (
        index.to_bytes(_WORD, "big")
        + time.to_bytes(_WORD, "big")
        + lat.to_bytes(_WORD, "big", signed=True)
        + lon.to_bytes(_WORD, "big", signed=True)
    )
    return keccak(keccak(encoded))


def _parent(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)


def _nodes_over(hashes: list[bytes]) -> list[bytes]:
    """The tree's array over leaf hashes in the order of the leaves."""
    count = len(hashes)
    nodes = [b""] * max(0, count - 1) + hashes[::-1]
    for at in range(count - 2, -1, -1):
        left, right = nodes[2 * at + 1], nodes[2 * at + 2]
        nodes[at] = keccak(left + right if left < right else right + left)
    return nodes


def root_of_columns(time: Ints, lat_e6: Ints, lon_e6: Ints) -> Hash32:
    """The root of ordered fixes given as columns; the same as of their leaves, a few times as fast.

    Args:
        time: unix seconds, 0 <= time < 2^63.
        lat_e6: within int32.
        lon_e6: within int32.
    """
    count = len(time)
    if count == 0:
        return EMPTY_ROOT
    packed = np.zeros((count, 4, _WORD), dtype=np.uint8)
    packed[:, 0, 24:] = np.arange(count, dtype=">u8").view(np.uint8).reshape(count, 8)
    packed[:, 1, 24:] = time.astype(">i8").view(np.uint8).reshape(count, 8)
    for word, column in ((2, lat_e6), (3, lon_e6)):
        packed[:, word, 24:] = column.astype(">i8").view(np.uint8).reshape(count, 8)
        packed[column < 0, word, :24] = 0xFF
    raw = packed.tobytes()
    size = 4 * _WORD
    hashes = [keccak(keccak(raw[at : at + size])) for at in range(0, len(raw), size)]
    return Hash32("0x" + _nodes_over(hashes)[0].hex())


class MerkleTree:
    """A tree over ordered leaves; proofs are lists of siblings from the leaf upwards."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self.leaves = list(leaves)
        self._nodes = _nodes_over([leaf_hash(leaf) for leaf in self.leaves])

    @classmethod
    def of_fixes(cls, fixes: Iterable[Fix]) -> MerkleTree:
        """The tree of fixes in the order given."""
        return cls(leaves_of(fixes))

    @property
    def root(self) -> Hash32:
        """The root, EMPTY_ROOT of no leaves."""
        return Hash32("0x" + self._nodes[0].hex()) if self._nodes else EMPTY_ROOT

    def proof(self, index: int) -> list[Hash32]:
        """The siblings of a leaf from the bottom up.

        Raises:
            MerkleError: no leaf has that index.
        """
        if not 0 <= index < len(self.leaves):
            raise MerkleError(
                f"leaf {index} is not one of {len(self.leaves)}", field="index", index=index
            )
        at = len(self._nodes) - 1 - index
        siblings = []
        while at > 0:
            siblings.append(Hash32("0x" + self._nodes[at + 1 if at % 2 else at - 1].hex()))
            at = (at - 1) // 2
        return siblings


def root_of(leaves: Sequence[Leaf]) -> Hash32:
    """The root of ordered leaves."""
    return MerkleTree(leaves).root


def verify(root: str, leaf: Leaf, proof: Sequence[str]) -> bool:
    """Whether a proof leads from the leaf to the root (as MerkleProof.sol does)."""
    node = leaf_hash(leaf)
    for sibling in proof:
        node = _parent(node, bytes.fromhex(sibling.removeprefix("0x")))
    return "0x" + node.hex() == root.lower()
