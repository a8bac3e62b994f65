"""Keccak-256, by the fastest library that is installed."""

from __future__ import annotations

from eth_hash.auto import keccak as _plain

try:
    from sha3 import keccak_256 as _quick
except ImportError:
    _quick = None


def keccak(data: bytes) -> bytes:
    """The 32 bytes of keccak-256 (not SHA3-256)."""
    return _quick(data).digest() if _quick is not None else _plain(data)
