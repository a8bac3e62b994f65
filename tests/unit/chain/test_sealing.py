"""Sealed values: each under a key of its own, bound to its place, opened by old masters too."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.sealing import Keyring, KeyringMissingError, UnsealError

OLD, NEW = bytes(range(32)), bytes(range(1, 33))
RING = Keyring([OLD])


@given(st.binary(max_size=300))
def test_what_is_sealed_opens_again(plain):
    assert RING.open(RING.seal(plain, "a.b"), "a.b") == plain


def test_the_same_text_is_never_sealed_alike():
    assert RING.seal(b"x", "a.b") != RING.seal(b"x", "a.b")


def test_a_value_opens_only_where_it_was_sealed_for():
    with pytest.raises(UnsealError):
        RING.open(RING.seal(b"x", "a.b"), "a.c")


def test_any_flipped_byte_is_noticed():
    sealed = RING.seal(b"hello", "a.b")
    for at in range(len(sealed)):
        altered = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(UnsealError):
            RING.open(altered, "a.b")


def test_a_new_master_opens_what_the_old_one_sealed_and_finds_it_too():
    both = Keyring([NEW, OLD])
    assert both.open(RING.seal(b"x", "a.b"), "a.b") == b"x"
    with pytest.raises(UnsealError):
        RING.open(both.seal(b"x", "a.b"), "a.b")
    assert both.blind("login", "wang") == RING.blind("login", "wang")


def test_a_keyring_is_neither_shown_nor_copied():
    assert OLD.hex()[:8] not in repr(RING)
    with pytest.raises(TypeError):
        pickle.dumps(RING)
    with pytest.raises(KeyringMissingError):
        Keyring([b"short"])
