"""Signing secrets of receivers: sealed at rest, made here or brought along, each used by one receiver."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.errors import ApiError
from chain.sealing import Keyring, UnsealError

PREFIX = "whsec_"
_PLACE = "webhook_secret.sealed:"
LEAST, MOST = 24, 64
"""Bytes of a secret, as Standard Webhooks asks."""


class SecretRefusedError(ApiError):
    """A signing secret is whsec_ and base64 of 24 to 64 random bytes."""

    code = "webhook_secret_refused"


class SecretReusedError(ApiError):
    """This secret signs for another receiver, or did; every receiver has one of its own."""

    code = "webhook_secret_reused"


def new_secret() -> str:
    """A new secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(text: str) -> bytes:
    """The bytes of a secret that a caller brings along.

    Raises:
        SecretRefusedError: not of the form, too short, too long, or no secret at all.
    """
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not text.startswith(PREFIX) or not LEAST <= len(raw) <= MOST or len(set(raw)) < 8:
        raise SecretRefusedError(field="secret")
    return raw


class Sealer:
    """Seals secrets by the keyring that seals everything here, and tells a secret that was used before.

    Args:
        keyring: the system's; a new master key is put in front of the old ones.
        master: secret of the fingerprints, which must not change; what was sealed before there was one
            keyring is sealed under a key derived from it, and still opens.
    """

    def __init__(self, keyring: Keyring, master: bytes) -> None:
        def derive(info: bytes) -> bytes:
            return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(master)

        self._keyring = keyring
        self._before = AESGCM(derive(b"yundan webhook secrets"))
        self._fingerprint = derive(b"yundan webhook secret fingerprints")

    def seal(self, secret: str, owner: str) -> bytes:
        """The sealed form; it opens for the same owner alone."""
        return self._keyring.seal(secret.encode(), _PLACE + owner)

    def open(self, sealed: bytes, owner: str) -> str:
        """The secret.

        Raises:
            UnsealError: another owner's, or sealed under a master key that is not here.
        """
        try:
            return self._keyring.open(sealed, _PLACE + owner).decode()
        except UnsealError as refused:
            try:
                return self._before.decrypt(sealed[:12], sealed[12:], owner.encode()).decode()
            except (InvalidTag, ValueError):
                raise refused from None

    def fingerprint(self, secret: str) -> str:
        """What tells a secret that was used before, without the secret."""
        raw = check_secret(secret)
        return hmac.new(self._fingerprint, raw, hashlib.sha256).hexdigest()
