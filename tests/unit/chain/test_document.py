"""A document is one hash over salted fields: whole, in part, or forgotten."""

from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.document import disclose, document_hash, hash_of_disclosed
from chain.errors import InvalidValueError

VALUES = st.one_of(st.text(max_size=8), st.integers(0, 2**53 - 1), st.none(), st.booleans())
DOCUMENTS = st.dictionaries(st.text(min_size=1, max_size=6), VALUES, min_size=1, max_size=6)
SALTS = st.binary(min_size=32, max_size=32)


@given(content=DOCUMENTS, salt=SALTS, data=st.data())
def test_any_choice_of_open_fields_gives_the_hash_that_was_signed(content, salt, data):
    withheld = data.draw(st.sets(st.sampled_from(sorted(content))))
    shown = disclose(content, salt, withheld)
    assert shown["closed"].keys() == withheld
    assert hash_of_disclosed(shown) == document_hash(content, salt)


@given(content=DOCUMENTS, salt=SALTS, data=st.data())
def test_a_changed_field_gives_another_hash(content, salt, data):
    shown = disclose(content, salt)
    name = data.draw(st.sampled_from(sorted(content)))
    shown["opened"][name][0] = [content[name]]
    assert hash_of_disclosed(shown) != document_hash(content, salt)


def test_a_closed_field_tells_nothing_even_beside_an_open_one_of_equal_value():
    shown = disclose({"a": "苏A 4716", "b": "苏A 4716"}, secrets.token_bytes(32), {"b"})
    assert shown["opened"]["a"][1][2:] not in str(shown["closed"])
    again = disclose({"b": "苏A 4716"}, secrets.token_bytes(32), {"b"})
    assert again["closed"]["b"] != shown["closed"]["b"]


def test_the_order_of_fields_does_not_matter_and_the_salt_does():
    salt = bytes(32)
    assert document_hash({"a": 1, "b": 2}, salt) == document_hash({"b": 2, "a": 1}, salt)
    assert document_hash({"a": 1}, salt) != document_hash({"a": 1})


def test_a_field_both_open_and_closed_is_refused():
    shown = disclose({"a": 1}, bytes(32))
    shown["closed"]["a"] = "0x" + "11" * 32
    with pytest.raises(InvalidValueError, match="both open and closed"):
        hash_of_disclosed(shown)


def test_a_salt_has_32_bytes():
    with pytest.raises(InvalidValueError, match="32 bytes"):
        document_hash({"a": 1}, b"short")
