"""Sealing of personal data: AES-256-GCM under a key per record, itself wrapped by one master key.

Whoever erases a record's wrapped key has erased the record, wherever copies of its bytes still lie.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from finance.payout_errors import AccountRefusedError

_NONCE: Final = 12
_WRAP: Final = b"yundan record key"


class RecordSeal:
    """Seals and opens records.

    Args:
        secret: at least 32 secret bytes; the wrapping key is derived from it (HKDF-SHA256).
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("a sealing secret has at least 32 bytes")
        derived = HKDF(SHA256(), 32, salt=None, info=b"yundan payout accounts").derive(secret)
        self._master = AESGCM(derived)

    def __repr__(self) -> str:
        return "RecordSeal()"

    def new_key(self) -> bytes:
        """A fresh record key, wrapped."""
        return _seal(self._master, AESGCM.generate_key(256), _WRAP)

    def seal(self, key: bytes, plain: bytes, about: str) -> bytes:
        """Seals bytes under a record's key; they open only for the same ``about``."""
        return _seal(self._opened(key), plain, about.encode())

    def open(self, key: bytes, sealed: bytes, about: str) -> bytes:
        """The bytes again.

        Raises:
            AccountRefusedError: forgotten, altered, or sealed for something else.
        """
        return _open(self._opened(key), sealed, about.encode())

    def _opened(self, key: bytes) -> AESGCM:
        if not key:
            raise AccountRefusedError("the account was forgotten at its holder's wish")
        return AESGCM(_open(self._master, key, _WRAP))


def _seal(cipher: AESGCM, plain: bytes, about: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plain, about)


def _open(cipher: AESGCM, sealed: bytes, about: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], about)
    except (InvalidTag, ValueError) as error:
        raise AccountRefusedError(
            "the sealed record does not open: altered, or another key"
        ) from error
