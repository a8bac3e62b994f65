"""Decodes ABI words as the logs and errors of the contracts carry them.

Values of fixed size stand one after the other, 32 bytes each, so that most events need no more than
slicing; eth_abi does the rest, and a test compares the two.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode as decode_any
from eth_abi.exceptions import InsufficientDataBytes, NonEmptyPaddingBytes
from eth_utils.address import to_normalized_address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values of ABI types, as ``eth_abi.abi.decode`` gives them.

    Raises:
        DecodingError: the data are too short, or a value is not of its type.
    """
    readers = _readers(tuple(types))
    if readers is None:
        return decode_any(types, data)
    if len(data) < 32 * len(readers):
        raise InsufficientDataBytes(f"{32 * len(readers)} bytes wanted, {len(data)} given")
    return tuple([read(data[32 * at : 32 * at + 32]) for at, read in enumerate(readers)])


@functools.cache
def _readers(types: tuple[str, ...]) -> tuple[Callable[[bytes], Any], ...] | None:
    """How each word is read; None if there are values of other than one word."""
    found = [_reader(kind) for kind in types]
    return None if any(one is None for one in found) else tuple(one for one in found if one)


def _reader(kind: str) -> Callable[[bytes], Any] | None:
    if kind == "bytes32":
        return bytes
    if kind == "bool":
        return _bool
    if kind == "address":
        return _address
    if kind.startswith("uint") and kind[4:].isdecimal():
        return _unsigned(int(kind[4:]))
    return None


def _unsigned(bits: int) -> Callable[[bytes], int]:
    def read(word: bytes) -> int:
        value = int.from_bytes(word, "big")
        if value >> bits:
            raise NonEmptyPaddingBytes(f"more than {bits} bits")
        return value

    return read


def _bool(word: bytes) -> bool:
    value = int.from_bytes(word, "big")
    if value > 1:
        raise NonEmptyPaddingBytes("a boolean is 0 or 1")
    return value == 1


def _address(word: bytes) -> str:
    if any(word[:12]):
        raise NonEmptyPaddingBytes("an address has 20 bytes")
    return str(to_normalized_address(word[12:]))
