"""Passwords: argon2id, a length that counts, and no password that everybody tries first."""

from __future__ import annotations

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.identity.errors import PasswordRefusedError

LEAST, MOST = 12, 128

_HASHER = (
    PasswordHasher()
)  # argon2id with the parameters of RFC 9106 for little memory: 64 MiB, 3 passes
_NOBODY = _HASHER.hash("nobody has this password")
_AT_ONCE = threading.BoundedSemaphore(4)
"""Each hash takes 64 MiB: a flood of sign-ins must not take the machine."""

_FIRST_TRIED = (
    "password", "passw0rd", "qwerty", "letmein", "welcome", "iloveyou", "admin", "monkey", "dragon",
    "football", "baseball", "sunshine", "princess", "master", "shadow", "superman", "trustno1",
    "abc123", "123123", "111111", "000000", "666666", "888888", "123456", "654321", "123321", "112233",
    "woaini", "5201314", "1314520", "147258369", "asdfgh", "zxcvbn", "1q2w3e", "q1w2e3", "1qaz2wsx",
    "yundan", "运单", "secret", "changeme", "default",
)  # fmt: skip


def check_new(password: str, *, about: tuple[str, ...] = ()) -> None:
    """Passes a password that may be taken: any characters, 12 to 128 of them.

    Args:
        password: as typed.
        about: words that must not be most of it, e.g. the login.

    Raises:
        PasswordRefusedError: says which rule.
    """
    text = _plain(password)
    if not LEAST <= len(text) <= MOST:
        raise PasswordRefusedError(
            f"a password has {LEAST} to {MOST} characters; a sentence is a good one",
            field="password",
        )
    bare = text.casefold()
    for word in (*_FIRST_TRIED, *(word.casefold() for word in about if len(word) >= 3)):
        bare = bare.replace(word, "")
    if len(set(bare)) < 5:
        raise PasswordRefusedError(
            "this password is among the first that are tried: little is left of it without "
            "well-known words and repeated characters",
            field="password",
        )


def hash_password(password: str) -> str:
    """The argon2id hash, with its salt and parameters."""
    with _AT_ONCE:
        return _HASHER.hash(_plain(password))


def verify_password(kept: str | None, password: str) -> bool:
    """Whether the password is the one; takes as long where there is none."""
    if len(password) > MOST:
        return False
    with _AT_ONCE:
        try:
            return _HASHER.verify(kept or _NOBODY, _plain(password)) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def _plain(password: str) -> str:
    # The same password typed on another keyboard may come as other code points.
    return unicodedata.normalize("NFKC", password)
