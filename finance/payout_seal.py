"""Sealing of account numbers and orders: AES-256-GCM under a key per record, itself sealed by the system's keyring.

Whoever erases a record's wrapped key has erased the record, wherever copies of its bytes still lie. There is one
keyring for all personal data (``chain.sealing``); a secret of its own, as there was once, only opens what it sealed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chain.sealing import UnsealError
from finance.payout_errors import AccountRefusedError

if TYPE_CHECKING:
    from chain.sealing import Keyring

_NONCE: Final = 12
_WRAP: Final = b"yundan record key"

PLACE: Final = "payout_account.key"
"""Where a record's key is sealed for."""


class RecordSeal:
    """Seals and opens records.

    Args:
        keyring: seals the key of each new record.
        old_secret: what keys were wrapped with before the keyring (HKDF-SHA256 of it); b"" if there is none.
    """

    def __init__(self, keyring: Keyring, old_secret: bytes = b"") -> None:
        self._keyring = keyring
        self._old = None
        if old_secret:
            if len(old_secret) < 32:
                raise ValueError("a sealing secret has at least 32 bytes")
            info = b"yundan payout accounts"
            self._old = AESGCM(HKDF(SHA256(), 32, salt=None, info=info).derive(old_secret))

    def __repr__(self) -> str:
        return "RecordSeal()"

    def new_key(self) -> bytes:
        """A fresh record key, wrapped."""
        return self._keyring.seal(AESGCM.generate_key(256), PLACE)

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
        try:
            return AESGCM(self._keyring.open(key, PLACE))
        except UnsealError as error:
            if self._old is None:
                raise AccountRefusedError(
                    "the record's key does not open: altered, or another master key"
                ) from error
            return AESGCM(_open(self._old, key, _WRAP))


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
