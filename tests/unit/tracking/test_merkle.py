from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from eth_abi import encode
from eth_hash.auto import keccak

from tracking.fix import Fix
from tracking.merkle import EMPTY_ROOT, MerkleTree, leaf_hash, root_of, root_of_columns, verify
from tracking.refusals import MerkleError

ROOT = Path(__file__).resolve().parents[3]
NPM = ROOT / "node_modules" / "@openzeppelin" / "merkle-tree"
SCRIPT = """
const { StandardMerkleTree } = require('@openzeppelin/merkle-tree');
const input = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const out = input.map((leaves) => {
  const tree = StandardMerkleTree.of(leaves, ['uint32', 'uint64', 'int32', 'int32'], { sortLeaves: false });
  return { root: tree.root, proofs: leaves.map((_, i) => tree.getProof(i)) };
});
console.log(JSON.stringify(out));
"""


def some_leaves(count: int) -> list[tuple[int, int, int, int]]:
    return [
        (at, 1_773_000_000 + 10 * at, (-1) ** at * (30_000_000 + 37 * at), -170_000_000 + 91 * at)
        for at in range(count)
    ]


def test_a_leaf_is_the_double_keccak_of_its_abi_encoding():
    leaf = (7, 1_773_000_000, -29_655_864, 108_940_659)
    encoded = encode(["uint32", "uint64", "int32", "int32"], leaf)
    assert leaf_hash(leaf) == keccak(keccak(encoded))


def test_root_and_every_proof_equal_those_of_the_npm_library():
    node = shutil.which("node")
    if node is None or not NPM.exists():
        pytest.skip(
            "needs node and node_modules/@openzeppelin/merkle-tree (make test installs them)"
        )
    sizes = [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 100]
    trees = [some_leaves(size) for size in sizes]
    given = json.dumps([[[a, str(b), c, d] for a, b, c, d in leaves] for leaves in trees])
    done = subprocess.run(
        [node, "-e", SCRIPT], input=given, capture_output=True, text=True, check=True, cwd=ROOT
    )
    for leaves, theirs in zip(trees, json.loads(done.stdout), strict=True):
        ours = MerkleTree(leaves)
        assert ours.root == theirs["root"]
        assert [ours.proof(at) for at in range(len(leaves))] == theirs["proofs"]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 33])
def test_every_proof_verifies_and_no_other_leaf_does(count):
    leaves = some_leaves(count)
    tree = MerkleTree(leaves)
    for index, leaf in enumerate(leaves):
        proof = tree.proof(index)
        assert verify(tree.root, leaf, proof)
        moved = (leaf[0], leaf[1], leaf[2] + 1, leaf[3])
        assert not verify(tree.root, moved, proof)
        renumbered = (leaf[0] + 1, *leaf[1:])
        assert not verify(tree.root, renumbered, proof)


def test_the_root_depends_on_the_order_of_the_fixes():
    leaves = some_leaves(5)
    assert root_of(leaves) != root_of(leaves[::-1])


def test_leaves_of_fixes_are_numbered_in_the_order_given():
    fixes = [Fix(time=10, lat_e6=1, lon_e6=2), Fix(time=20, lat_e6=-3, lon_e6=4)]
    assert MerkleTree.of_fixes(fixes).leaves == [(0, 10, 1, 2), (1, 20, -3, 4)]


@pytest.mark.parametrize("count", [0, 1, 2, 9, 64])
def test_the_root_of_columns_is_the_root_of_their_leaves(count):
    leaves = some_leaves(count)
    columns = np.array([leaf[1:] for leaf in leaves], dtype=np.int64).reshape(-1, 3).T
    assert root_of_columns(*columns) == root_of(leaves)


def test_no_fixes_have_the_empty_root():
    assert root_of([]) == EMPTY_ROOT


def test_a_leaf_that_is_not_there_is_refused_by_index():
    with pytest.raises(MerkleError, match="leaf 3 is not one of 2"):
        MerkleTree(some_leaves(2)).proof(3)


@pytest.mark.parametrize(
    "leaf", [(-1, 0, 0, 0), (1 << 32, 0, 0, 0), (0, -1, 0, 0), (0, 0, 1 << 31, 0)]
)
def test_numbers_that_do_not_fit_their_solidity_type_are_refused(leaf):
    with pytest.raises(MerkleError, match="uint32"):
        leaf_hash(leaf)
