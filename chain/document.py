"""A document on chain is the hash of its canonical JSON under a salt, so that it can be forgotten."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import rfc8785
from eth_utils.crypto import keccak

from chain.abi import hash32
from chain.errors import InvalidValueError

if TYPE_CHECKING:
    from chain.ids import Hash32


def canonical(content: Any) -> bytes:
    """The one byte form of a JSON value (RFC 8785); integers must stay below 2^53.

    Raises:
        InvalidValueError: the value has no canonical form.
    """
    try:
        return rfc8785.dumps(content)
    except rfc8785.CanonicalizationError as error:
        raise InvalidValueError(f"the document has no canonical form: {error}") from error


def document_hash(content: Any, salt: bytes = b"") -> Hash32:
    """Keccak of the salt and the canonical JSON; a salt has 32 bytes, or none where nothing is private."""
    if len(salt) not in {0, 32}:
        raise InvalidValueError("a salt has 32 bytes", field="salt")
    return hash32(keccak(salt + canonical(content)))


def keyed_hash(key: bytes, *words: str) -> Hash32:
    """HMAC-SHA-256 of numbers or plates that are easily guessed, under a secret key of 32 bytes.

    The words are framed as a JSON list, so that no two lists of words meet in one hash.
    """
    if len(key) < 32:
        raise InvalidValueError("the key has at least 32 bytes", field="key")
    framed = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()
    return hash32(hmac.digest(key, framed, hashlib.sha256))
