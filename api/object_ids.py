"""Ids of what this platform names, and the prefixed spelling of ids that stand on chain.

A party, waybill, trip, line, advance or payout is named on chain by what was signed (a number, a hash). Answers
show it with the prefix of its kind (``wb_`` and the same 64 digits), which says what it is; wherever an id is
taken, both spellings are, and an id of another kind is told by its prefix. What is signed or hashed (``to_sign``,
evidence, receipts, a driver's tasks) speaks the chain's names, since signatures are over those.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

HASHES = {
    "waybill": "wb",
    "trip": "trp",
    "advance": "adv",
    "line": "cl",
    "payout": "po",
    "application": "app",
}
"""Kinds named by a hash: on chain, or (an application for a line) in the books."""

OWN = {
    "document": "doc", "job": "job", "webhook_endpoint": "we", "event": "evt", "delivery": "whd",
    "vehicle": "veh", "line_offer": "lo",
}  # fmt: skip
"""Kinds named by this platform, 24 random hex digits after the prefix."""

KIND_OF = {prefix: kind for kind, prefix in (HASHES | OWN | {"party": "pty"}).items()}

_PREFIXED = re.compile(r"([a-z]{2,4})_([0-9a-f]{64}|[0-9a-f]{24}|[1-9][0-9]{0,19})", re.ASCII)

AboutKind = Literal["waybill", "trip", "advance", "line", "party"]


@dataclass(frozen=True, slots=True)
class About:
    """What something is about: a kind and its id as it stands on chain."""

    kind: AboutKind
    id: str


def new_id(kind: str) -> str:
    """A new id of a kind that this platform names."""
    return f"{OWN[kind]}_{secrets.token_hex(12)}"


def pattern_of(kind: str) -> str:
    """The pattern of an id that this platform names."""
    return rf"^{OWN[kind]}_[0-9a-f]{{24}}$"


def plain_hash(value: str, kind: str) -> str:
    """The hash of an id that was given plain or prefixed.

    Raises:
        ValueError: it is the id of another kind, or none.
    """
    match = _PREFIXED.fullmatch(value)
    if match and match[1] != HASHES[kind]:
        given = KIND_OF.get(match[1], "thing nobody knows")
        raise ValueError(
            f"this is the id of a {given}; a {kind}'s begins with {HASHES[kind]}_ or 0x"
        )
    return f"0x{match[2]}" if match else value


def plain_hash_of(kind: str) -> Callable[[object], object]:
    """A reader of ids of one kind, for a field of a schema."""

    def read(value: object) -> object:
        return plain_hash(value, kind) if isinstance(value, str) else value

    return read


def plain_party(value: str) -> str:
    """The number of a party that was given plain or as ``pty_``."""
    return value.removeprefix("pty_")


def prefixed(kind: str, value: str) -> str:
    """The prefixed spelling of an id; what has its prefix, or is no id, stays as it is."""
    if kind == "party":
        return f"pty_{value}" if value.isdigit() else value
    return f"{HASHES[kind]}_{value[2:]}" if kind in HASHES and value[:2] == "0x" else value


def shown(kind: str) -> Callable[[str], str]:
    """A writer of ids of one kind, for a field of a schema."""

    def write(value: str) -> str:
        return prefixed(kind, value)

    return write


def plain(value: str) -> str:
    """The name on chain of an id that was given plain or prefixed: a hash, or a party's number."""
    match = _PREFIXED.fullmatch(value)
    if match is None or KIND_OF.get(match[1]) in OWN:
        return value
    return match[2] if match[1] == "pty" else f"0x{match[2]}"


def read_about(value: str) -> About:
    """What a prefixed id is about.

    Raises:
        ValueError: not a prefixed id of a kind that documents can be about.
    """
    match = _PREFIXED.fullmatch(value)
    kind = KIND_OF.get(match[1], "") if match else ""
    if match is not None and kind == "party" and len(match[2]) <= 20:
        return About("party", match[2])
    if match is not None and kind in get_args(AboutKind) and kind in HASHES and len(match[2]) == 64:
        return About(kind, f"0x{match[2]}")  # type: ignore[arg-type]  # one of the kinds above
    raise ValueError(
        "a prefixed id is asked: wb_, trp_, adv_ or cl_ and 64 hex digits, or pty_ and a number"
    )


_IN_PATH = re.compile(r"/[a-z]{2,4}_([0-9a-f]{64})(?=[/?]|$)", re.ASCII)


def plain_path(path: str) -> str:
    """A path of ``/v1`` whose hashes are spelt as the chain spells them, whichever way they were given.

    >>> plain_path("/v1/waybills/wb_" + "5c" * 32 + "/cancel") == "/v1/waybills/0x" + "5c" * 32 + "/cancel"
    True
    """
    return _IN_PATH.sub(r"/0x\1", path)
