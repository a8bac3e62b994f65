"""Personal data at rest: every value under a data key of its own, wrapped by a master key.

The master key never lies in the database. A sealed value carries its wrapped data key with it, so that
what is deleted takes its key along; and the name of the master key, so that masters can be changed. A
value is bound to the place it was sealed for: moved into another column it does not open.

Layout: version (1 byte), name of the master key (8), nonce (12), wrapped data key (48), nonce (12),
ciphertext with its tag. AES-256-GCM throughout.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chain.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = b"\x01"
_NAME, _NONCE, _WRAPPED = 8, 12, 48
_HEAD = len(_VERSION) + _NAME + _NONCE + _WRAPPED + _NONCE


class UnsealError(ChainError):
    """A sealed value does not open: another master key, another column, or altered bytes."""

    code = "unsealing_failed"


class KeyringMissingError(ChainError):
    """This process was given no master key, so it can neither seal nor open personal data."""

    code = "keyring_missing"


class Keyring:
    """The master keys of a system, the present one first.

    Args:
        masters: 32 bytes each; the first seals, every one opens what it has sealed.
    """

    __slots__ = ("_index", "_masters", "_present")

    def __init__(self, masters: Iterable[bytes]) -> None:
        keys = list(masters)
        if not keys or any(len(key) != 32 for key in keys):
            raise KeyringMissingError("a master key has 32 bytes")
        named = [(hashlib.sha256(b"yundan master" + key).digest()[:_NAME], key) for key in keys]
        self._masters = {name: AESGCM(_derive(key, b"wrap")) for name, key in named}
        self._present = named[0][0]
        # the oldest: an index must not change when a new master is put in front
        self._index = _derive(keys[-1], b"index")

    def __repr__(self) -> str:
        return f"Keyring({len(self._masters)})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a keyring is not copied or stored")

    def seal(self, plain: bytes, place: str) -> bytes:
        """Seals a value under a new data key.

        Args:
            plain: the value.
            place: where it will lie, e.g. ``account.login``.
        """
        key, outer, inner = os.urandom(32), os.urandom(_NONCE), os.urandom(_NONCE)
        wrapped = self._masters[self._present].encrypt(outer, key, place.encode())
        body = AESGCM(key).encrypt(inner, plain, place.encode())
        return _VERSION + self._present + outer + wrapped + inner + body

    def open(self, sealed: bytes, place: str) -> bytes:
        """The value.

        Raises:
            UnsealError: sealed under a master key that is not here, for another place, or altered.
        """
        if len(sealed) < _HEAD or sealed[:1] != _VERSION:
            raise UnsealError(place=place)
        at = 1
        name, at = sealed[at : at + _NAME], at + _NAME
        outer, at = sealed[at : at + _NONCE], at + _NONCE
        wrapped, at = sealed[at : at + _WRAPPED], at + _WRAPPED
        inner, at = sealed[at : at + _NONCE], at + _NONCE
        master = self._masters.get(name)
        if master is None:
            raise UnsealError("this value was sealed under a master key that is not here")
        try:
            key = master.decrypt(outer, wrapped, place.encode())
            return AESGCM(key).decrypt(inner, sealed[at:], place.encode())
        except InvalidTag as error:
            raise UnsealError(place=place) from error

    def blind(self, purpose: str, text: str) -> str:
        """A keyed hash to find a sealed value by, e.g. a login: tells nothing without the key."""
        return hmac.new(self._index, f"{purpose}\0{text}".encode(), hashlib.sha256).hexdigest()


def _derive(master: bytes, purpose: bytes) -> bytes:
    return hmac.new(master, b"yundan " + purpose, hashlib.sha256).digest()
