"""Signing secrets of receivers: sealed at rest, made here or brought along, each used by one receiver."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.errors import ApiError

PREFIX = "whsec_"
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
    """Seals secrets under a key that is not in the database.

    Args:
        master: the platform's secret; the sealing key is derived from it.
    """

    def __init__(self, master: bytes) -> None:
        def derive(info: bytes) -> bytes:
            return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(master)

        self._cipher = AESGCM(derive(b"yundan webhook secrets"))
        self._fingerprint = derive(b"yundan webhook secret fingerprints")

    def seal(self, secret: str, owner: str) -> bytes:
        """The sealed form; it opens for the same owner alone."""
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), owner.encode())

    def open(self, sealed: bytes, owner: str) -> str:
        """The secret."""
        return self._cipher.decrypt(sealed[:12], sealed[12:], owner.encode()).decode()

    def fingerprint(self, secret: str) -> str:
        """What tells a secret that was used before, without the secret."""
        raw = check_secret(secret)
        return hmac.new(self._fingerprint, raw, hashlib.sha256).hexdigest()
