"""A pack's JSON has one form, RFC 8785, whichever way it is checked."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from api.verifier.pack import PackRefusedError, read_json

WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
LEAF = st.none() | st.booleans() | WHOLE | TEXT | st.floats(-1e15, 1e15)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(VALUE)
@example({"\ue000": 1, "\U00010000": 2})
@example([-0.0, 1e-7, 5.0, 1e-300])
def test_what_is_canonical_is_read_and_anything_else_refused(value):
    canonical = rfc8785.dumps(value)
    assert read_json(canonical, "x.json") == value
    for sort in (False, True):
        for ascii_only in (False, True):
            for separators in ((",", ":"), (", ", ": ")):
                other = json.dumps(
                    value, sort_keys=sort, ensure_ascii=ascii_only, separators=separators
                ).encode()
                if other == canonical:
                    continue
                with pytest.raises(PackRefusedError):
                    read_json(other, "x.json")


@pytest.mark.parametrize(
    "data", [b"-0", b"[1.0]", b"1e16", b"1e+16", b'"\\u4e2d"', b"9007199254740992"]
)
def test_another_spelling_of_the_same_value_is_refused(data):
    with pytest.raises(PackRefusedError):
        read_json(data, "x.json")
