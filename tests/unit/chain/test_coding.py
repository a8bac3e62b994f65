"""Words decoded by slicing, against eth_abi."""

from __future__ import annotations

import pytest
from eth_abi.abi import decode as decode_any
from eth_abi.abi import encode
from eth_abi.exceptions import DecodingError
from hypothesis import given
from hypothesis import strategies as st

from chain.coding import decode

KINDS = ["bool", "address", "bytes32", "uint8", "uint64", "uint128", "uint256"]


@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=8), st.binary(min_size=0, max_size=290)
)
def test_any_words_are_read_or_refused_as_eth_abi_does(types, data):
    try:
        expected = decode_any(types, data)
    except DecodingError:
        with pytest.raises(DecodingError):
            decode(types, data)
    else:
        assert decode(types, data) == expected


@given(st.data())
def test_values_come_back_as_they_were_coded(data):
    types = data.draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8))
    values = []
    for kind in types:
        if kind == "bool":
            values.append(data.draw(st.booleans()))
        elif kind.startswith("uint"):
            values.append(data.draw(st.integers(0, 2 ** int(kind[4:]) - 1)))
        else:
            raw = data.draw(st.binary(min_size=32, max_size=32))
            values.append(raw if kind == "bytes32" else "0x" + raw[:20].hex())
    coded = encode(types, values)
    assert decode(types, coded) == tuple(values) == decode_any(types, coded)


def test_values_of_other_sizes_are_left_to_eth_abi():
    coded = encode(["uint64", "bytes", "uint8[]"], [7, b"abc", [1, 2]])
    assert decode(["uint64", "bytes", "uint8[]"], coded) == (7, b"abc", (1, 2))
