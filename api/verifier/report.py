"""What a check found: a tree of green, red and not checkable, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    """The three answers."""

    GREEN = "green"
    RED = "red"
    UNKNOWN = "not_checkable"


_SIGNS = {Mark.GREEN: "✓", Mark.RED: "✗", Mark.UNKNOWN: "?"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        code: stable word, for programs.
        about: what of, e.g. a file, a waybill, a party.
        reason: one sentence.
    """

    code: str
    about: str
    mark: Mark
    reason: str


@dataclass(slots=True)
class Section:
    """Checks of one question."""

    name: str
    title: str
    checks: list[Check] = field(default_factory=list)

    def green(self, code: str, about: str, reason: str) -> None:
        """Notes what holds."""
        self.checks.append(Check(code, about, Mark.GREEN, reason))

    def red(self, code: str, about: str, reason: str) -> None:
        """Notes what does not hold."""
        self.checks.append(Check(code, about, Mark.RED, reason))

    def unknown(self, code: str, about: str, reason: str) -> None:
        """Notes what this pack, or what the auditor gave, does not let us decide."""
        self.checks.append(Check(code, about, Mark.UNKNOWN, reason))

    def require(self, holds: bool, code: str, about: str, good: str, bad: str) -> bool:  # noqa: FBT001  the question itself
        """Green with ``good`` if it holds, else red with ``bad``."""
        (self.green if holds else self.red)(code, about, good if holds else bad)
        return holds

    @property
    def mark(self) -> Mark:
        """Red if anything is, else not checkable if anything is, else green."""
        marks = {check.mark for check in self.checks}
        return next((mark for mark in (Mark.RED, Mark.UNKNOWN) if mark in marks), Mark.GREEN)


@dataclass(slots=True)
class Report:
    """All sections, in the order of the pack's argument."""

    pack: str
    sections: list[Section] = field(default_factory=list)
    anchored: bool = False
    """True if every block rests on a hash the auditor gave, or on a node of his choosing."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What was found of the trip and its loans, for sums over many packs; empty if it cannot be read."""

    def section(self, name: str, title: str) -> Section:
        """A new section."""
        made = Section(name, title)
        self.sections.append(made)
        return made

    @property
    def checks(self) -> list[Check]:
        """Every check."""
        return [check for section in self.sections for check in section.checks]

    @property
    def reds(self) -> list[Check]:
        """What does not hold."""
        return [check for check in self.checks if check.mark is Mark.RED]

    @property
    def verified(self) -> bool:
        """True if nothing is red and the root of trust was checked."""
        return self.anchored and not self.reds

    @property
    def exit_code(self) -> int:
        """0 verified; 1 something is red; 3 nothing is red, but no root of trust was given."""
        if self.reds:
            return 1
        return 0 if self.anchored else 3

    def to_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "pack": self.pack,
            "verified": self.verified,
            "anchored": self.anchored,
            "counts": {
                mark.value: sum(check.mark is mark for check in self.checks) for mark in Mark
            },
            "sections": [
                {
                    "name": section.name,
                    "mark": section.mark.value,
                    "checks": [
                        {
                            "code": check.code,
                            "about": check.about,
                            "mark": check.mark.value,
                            "reason": check.reason,
                        }
                        for check in section.checks
                    ],
                }
                for section in self.sections
            ],
        }

    def to_text(self) -> str:
        """The report as a tree for people."""
        lines = [self.pack]
        for section in self.sections:
            lines.append(f"├─ {_SIGNS[section.mark]} {section.title}")
            for check in section.checks:
                about = f"{check.about}: " if check.about else ""
                lines.append(f"│  ├─ {_SIGNS[check.mark]} [{check.code}] {about}{check.reason}")
        if self.reds:
            word = f"RED: {len(self.reds)} checks failed"
        elif self.anchored:
            word = "GREEN: everything checked holds"
        else:
            word = "NOT ANCHORED: give --trust BLOCKHASH or --rpc URL"
        return "\n".join([*lines, f"└─ {word}"])
