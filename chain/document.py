"""A document on chain is one hash over its fields, each under a salt of its own.

So a document can be forgotten as a whole (its salt goes), and shown in part: a reader is given some fields with
their salts and of the others only digests, and still finds the hash that was signed. The idea is that of SD-JWT
(RFC 9901); the form is ours, since both ends are.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import rfc8785

from chain.abi import hash32
from chain.errors import InvalidValueError
from chain.keccak import keccak

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from chain.ids import Hash32


SALT = "document_salt"
"""Under this name the salt is kept beside the fields."""
OPENING = "document_opening"
"""Under this name stands what opens papers of which something was forgotten."""


def canonical(content: Any) -> bytes:
    """The one byte form of a JSON value (RFC 8785); integers must stay below 2^53.

    Raises:
        InvalidValueError: the value has no canonical form.
    """
    try:
        return rfc8785.dumps(content)
    except rfc8785.CanonicalizationError as error:
        raise InvalidValueError(f"the document has no canonical form: {error}") from error


def document_hash(content: Mapping[str, Any], salt: bytes = b"") -> Hash32:
    """The hash of a document, Keccak over the canonical JSON of its fields' digests.

    Args:
        content: the document, an object.
        salt: 32 bytes, or none where nothing is private.

    Raises:
        InvalidValueError: no canonical form, or a salt of another length.
    """
    digests = {name: field_digest(value, field_salt(salt, name)) for name, value in content.items()}
    return hash_of_digests(digests)


def hash_of_digests(digests: Mapping[str, Hash32]) -> Hash32:
    """The document's hash from the digests of all its fields."""
    return hash32(keccak(canonical(dict(digests))))


def field_digest(value: Any, salt: bytes = b"") -> Hash32:
    """The digest of one field: Keccak over its salt and the canonical JSON of its value."""
    return hash32(keccak(salt + canonical(value)))


def field_salt(salt: bytes, name: str) -> bytes:
    """The salt of one field, HMAC-SHA-256 of its name under the document's: it tells nothing of the others."""
    if len(salt) not in {0, 32}:
        raise InvalidValueError("a salt has 32 bytes", field="salt")
    return hmac.digest(salt, name.encode(), hashlib.sha256) if salt else b""


def disclose(
    content: Mapping[str, Any], salt: bytes, withheld: Collection[str] = ()
) -> dict[str, dict[str, Any]]:
    """A document as a reader may see it: ``opened`` values with their salts, ``closed`` digests.

    Args:
        content: the document.
        salt: its salt.
        withheld: names of fields that stay closed.
    """
    salts = {name: field_salt(salt, name) for name in content}
    return {
        "opened": {
            name: [value, "0x" + salts[name].hex()]
            for name, value in content.items()
            if name not in withheld
        },
        "closed": {
            name: field_digest(value, salts[name])
            for name, value in content.items()
            if name in withheld
        },
    }


def words_of(papers: Mapping[str, Any]) -> dict[str, Any]:
    """What kept papers say, without what opens their hash."""
    return {name: value for name, value in papers.items() if name not in {SALT, OPENING}}


def forget(papers: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Papers without some of their fields, for ever; the rest still opens the hash.

    The salt that opened every field goes; what stays keeps its own, what goes leaves its digest.
    """
    kept = show_papers(papers)
    gone = {name for name in names if name in kept["opened"]}
    content, salts = words_of(papers), {n: salt for n, (_, salt) in kept["opened"].items()}
    closed = dict(kept["closed"])
    closed |= {n: field_digest(content[n], bytes.fromhex(salts[n][2:])) for n in gone}
    left = {name: value for name, value in content.items() if name not in gone}
    opening = {"salts": {n: salt for n, salt in salts.items() if n not in gone}, "closed": closed}
    return left | {OPENING: opening}


def show_papers(papers: Mapping[str, Any], withheld: Collection[str] = ()) -> dict[str, Any]:
    """Kept papers as a reader may see them (``disclose``), with the names of what is ``erased``.

    Args:
        papers: a document's fields with its salt, or what ``forget`` has left of them.
        withheld: names of fields that stay closed.
    """
    content, opening = words_of(papers), papers.get(OPENING)
    if opening is None:
        return {**disclose(content, bytes.fromhex(papers[SALT][2:]), withheld), "erased": []}
    opened, closed = {}, dict(opening["closed"])
    for name, salt in opening["salts"].items():
        if name in withheld:
            closed[name] = field_digest(content[name], bytes.fromhex(salt[2:]))
        else:
            opened[name] = [content[name], salt]
    return {"opened": opened, "closed": closed, "erased": sorted(opening["closed"])}


def hash_of_disclosed(shown: Mapping[str, Mapping[str, Any]]) -> Hash32:
    """The hash of a document of which only some fields are shown (``disclose``).

    Raises:
        InvalidValueError: a field is both open and closed, or a salt is none.
    """
    opened, closed = shown["opened"], shown["closed"]
    if opened.keys() & closed.keys():
        raise InvalidValueError("a field is both open and closed", field="document")
    digests = {name: hash32(bytes.fromhex(digest[2:])) for name, digest in closed.items()}
    for name, (value, salt) in opened.items():
        digests[name] = field_digest(value, bytes.fromhex(salt[2:]))
    return hash_of_digests(digests)


def keyed_hash(key: bytes, *words: str) -> Hash32:
    """HMAC-SHA-256 of numbers or plates that are easily guessed, under a secret key of 32 bytes.

    The words are framed as a JSON list, so that no two lists of words meet in one hash.
    """
    if len(key) < 32:
        raise InvalidValueError("the key has at least 32 bytes", field="key")
    framed = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()
    return hash32(hmac.digest(key, framed, hashlib.sha256))
