"""What a rule saw: its code, how grave it is, when, and the numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from chain.clock import rfc3339
from tracking.instants import instant


class Severity(StrEnum):
    """How grave a finding is; the verdict is the worst of its findings."""

    INFO = "info"
    REVIEW = "review"
    FAIL = "fail"

    @property
    def rank(self) -> int:
        """0 for info, 1 for review, 2 for fail."""
        return ("info", "review", "fail").index(self.value)


@dataclass(frozen=True, slots=True)
class Finding:
    """One observation by a rule.

    Attributes:
        code: the rule's code, listed in tracking/README.md.
        severity: info never changes a verdict; review asks for a person; fail refuses.
        start: unix seconds of the first fix concerned, None where the whole record is meant.
        end: unix seconds of the last fix concerned.
        detail: the numbers behind it, whole numbers or text, metres, seconds and km/h by name.
    """

    code: str
    severity: Severity
    start: int | None
    end: int | None
    detail: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form of `yundan track check --json`."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "from": None if self.start is None else rfc3339(instant(self.start)),
            "to": None if self.end is None else rfc3339(instant(self.end)),
            "detail": self.detail,
        }
