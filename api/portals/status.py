"""One vocabulary for states: each has an icon, a word and a tone, wherever it is shown.

The states are those of the tables in ``chain``, ``tracking`` and ``finance``; the words are in the
catalogue under ``KIND_STATE``. A state that is not here is shown plain, never hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """How a chip or a figure is meant; each has an icon of its own, so colour is never alone."""

    GOOD = "good"
    WAIT = "wait"
    WARN = "warn"
    BAD = "bad"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Status:
    """How a state is shown.

    Attributes:
        tone: its colour.
        icon: of the sprite; the tone's own unless it has a better one.
    """

    tone: Tone
    icon: str

    @classmethod
    def of(cls, tone: Tone, icon: str = "") -> Status:
        """A status with the tone's own icon unless another is given."""
        return cls(tone, icon or tone.value)


_GOOD, _WAIT, _WARN, _BAD, _PLAIN = map(Status.of, Tone)

STATUSES: dict[str, dict[str, Status]] = {
    "stage": {
        "drafted": Status.of(Tone.PLAIN, "pen"),
        "signed": Status.of(Tone.PLAIN, "business"),
        "approved": Status.of(Tone.WAIT, "lock"),
        "loaded": Status.of(Tone.WAIT, "truck"),
        "arrived": Status.of(Tone.WAIT, "road"),
        "delivered": Status.of(Tone.WAIT, "box"),
        "paid": _GOOD,
        "repaid": _GOOD,
        "held": _WARN,
        "void": _BAD,
    },
    "waybill": {
        "draft": Status.of(Tone.PLAIN, "pen"),
        "signed": _WAIT,
        "refused": _BAD,
        "none": _PLAIN,
        "issued": Status.of(Tone.WAIT, "business"),
        "in_transit": Status.of(Tone.WAIT, "truck"),
        "delivered": Status.of(Tone.WAIT, "box"),
        "paid": _GOOD,
        "cancelled": _BAD,
    },
    "advance": {
        "none": _PLAIN,
        "requested": _WAIT,
        "approved": Status.of(Tone.WAIT, "lock"),
        "releasable": _WARN,
        "released": Status.of(Tone.GOOD, "money"),
        "repaid": _GOOD,
        "defaulted": _BAD,
        "written_off": _BAD,
        "declined": _BAD,
        "voided": _BAD,
    },
    "payment": {
        "asked": _WAIT,
        "frozen": Status.of(Tone.WAIT, "lock"),
        "paid": Status.of(Tone.GOOD, "money"),
        "claimable": _WARN,
        "banked": _GOOD,
        "cut": _PLAIN,
    },
    "line": {"submitted": _WAIT, "open": _GOOD, "frozen": _WARN, "ended": _PLAIN},
    "application": {
        "offered": _WAIT,
        "refused": _BAD,
        "withdrawn": _PLAIN,
        "opened": _GOOD,
    },
    "offer": {
        "offered": _WAIT,
        "accepted": Status.of(Tone.WAIT, "signature"),
        "sent": _GOOD,
        "refused": _BAD,
        "withdrawn": _PLAIN,
        "expired": _PLAIN,
    },
    "proposal": {
        "open": _WAIT,
        "approved": Status.of(Tone.GOOD, "eye"),
        "refused": _BAD,
        "used": _GOOD,
        "expired": _PLAIN,
        "withdrawn": _PLAIN,
    },
    "verdict": {"pass": _GOOD, "review": _WARN, "fail": _BAD, "none": _PLAIN},
    "severity": {"info": _PLAIN, "review": _WARN, "fail": _BAD},
    "tier": {
        "normal": _GOOD,
        "special_mention": _WAIT,
        "substandard": _WARN,
        "doubtful": _BAD,
        "loss": _BAD,
    },
    "chain": {
        "queued": Status.of(Tone.WAIT, "wait"),
        "sent": Status.of(Tone.WAIT, "chain"),
        "mined": Status.of(Tone.WAIT, "chain"),
        "final": Status.of(Tone.GOOD, "chain"),
        "reverted": _BAD,
        "replaced": _WAIT,
        "dropped": _BAD,
    },
}
"""Kind -> state -> how it is shown."""


def status_of(kind: str, state: str) -> Status:
    """How a state is shown.

    >>> status_of("verdict", "review").tone.value
    'warn'
    """
    return STATUSES[kind].get(state, _PLAIN)
