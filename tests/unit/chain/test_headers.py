"""RLP and roots, against the libraries of the Ethereum Foundation."""

from __future__ import annotations

import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie.hexary import HexaryTrie

from chain.headers import _root_of, encode_rlp, whole_bytes

ITEMS = st.recursive(
    st.binary(max_size=80), lambda inner: st.lists(inner, max_size=6), max_leaves=30
)


@given(ITEMS)
def test_our_rlp_is_rlp(item):
    assert encode_rlp(item) == rlp.encode(item)


@given(st.integers(min_value=0, max_value=2**256))
def test_integers_are_written_as_rlp_writes_them(number):
    assert encode_rlp(whole_bytes(number)) == rlp.encode(number)


def test_long_items_carry_their_length():
    for size in (55, 56, 255, 256, 65_535, 65_536):
        assert encode_rlp(b"\x01" * size) == rlp.encode(b"\x01" * size)
        assert encode_rlp([b"\x01"] * size) == rlp.encode([b"\x01"] * size)


@given(st.lists(st.binary(min_size=33, max_size=200), min_size=1, max_size=20))
def test_the_root_of_a_list_is_the_tries(values):
    tree = HexaryTrie({})
    for at, value in enumerate(values):
        tree[rlp.encode(at)] = value
    assert _root_of(values) == tree.root_hash
