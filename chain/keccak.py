"""Keccak-256, by the fastest library that is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_hash.auto import keccak as _portable

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from sha3 import keccak_256 as _quick
except (
    ImportError
):  # a platform without the C library's wheel; the answer is the same, ten times later
    keccak: Callable[[bytes], bytes] = _portable
else:

    def keccak(data: bytes) -> bytes:
        """The 32 bytes of keccak-256 (not SHA3-256)."""
        return _quick(data).digest()  # type: ignore[no-any-return]  # the library has no types
