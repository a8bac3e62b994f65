"""The rules' thresholds, versions and severities, from one file whose hash is part of every attestation."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

from chain.ids import Hash32
from chain.keccak import keccak
from tracking.findings import Severity
from tracking.refusals import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY_FILE = Path(__file__).with_name("policy.toml")
EARLIER = Path(__file__).with_name("policies")
"""Policies that were signed for before: what they judged is judged by them again."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the policy.

    Attributes:
        code: the code its findings carry.
        version: raised whenever the computation behind it changes; the judge still computes the earlier ones.
        severity: of its findings, unless a rule names a milder one for a case.
        limits: thresholds by name; the unit is the end of the name; whole numbers only.
    """

    code: str
    version: int
    severity: Severity
    limits: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        """A threshold; the policy was checked to have it when it was loaded."""
        return self.limits[name]


class Policy:
    """All thresholds of the judge, and the hash that names them."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        version = document.get("version")
        rules = document.get("rules")
        if not isinstance(version, str) or not isinstance(rules, dict):
            raise PolicyError("a policy has a version and rules")
        self.version = version
        self._rules = {code: _rule(code, table) for code, table in rules.items()}
        self.policy_hash = Hash32("0x" + keccak(rfc8785.dumps(dict(document))).hex())

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule, by code."""
        return tuple(self._rules[code] for code in sorted(self._rules))

    def rule(self, code: str) -> Rule:
        """The rule of a code.

        Raises:
            PolicyError: the policy has no such rule.
        """
        try:
            return self._rules[code]
        except KeyError:
            raise PolicyError(f"the policy has no rule {code}", field=code) from None

    @classmethod
    def of_toml(cls, text: str) -> Policy:
        """A policy from the text of a policy file.

        Raises:
            PolicyError: not TOML, or not a policy.
        """
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as wrong:
            raise PolicyError(f"the policy is not TOML: {wrong}") from wrong
        policy = cls(document)
        _check_shape(policy)
        return policy

    @classmethod
    def read(cls, path: Path) -> Policy:
        """The policy of a file."""
        return cls.of_toml(path.read_text(encoding="utf-8"))


@cache
def default_policy() -> Policy:
    """The policy that new waybills are signed for."""
    return Policy(tomllib.loads(POLICY_FILE.read_text(encoding="utf-8")))


@cache
def _shipped() -> dict[Hash32, tuple[Policy, Path]]:
    """The policy of today and those before it, by the hash that waybills name."""
    files = [POLICY_FILE, *sorted(EARLIER.glob("*.toml"))]
    read = [(Policy(tomllib.loads(file.read_text(encoding="utf-8"))), file) for file in files]
    return {policy.policy_hash: (policy, file) for policy, file in read}


def find_policy(policy_hash: Hash32) -> Policy | None:
    """The policy of a hash, today's or an earlier one; None where the judge never had it."""
    found = _shipped().get(policy_hash)
    return None if found is None else found[0]


def find_policy_text(policy_hash: Hash32) -> str | None:
    """The file of the policy of a hash as it stands, for who must judge without this house."""
    found = _shipped().get(policy_hash)
    return None if found is None else found[1].read_text(encoding="utf-8")


def _rule(code: str, table: Any) -> Rule:
    if not isinstance(table, dict):
        raise PolicyError(f"rule {code} must be a table", field=code)
    limits = {name: value for name, value in table.items() if name not in {"version", "severity"}}
    for name, value in (*limits.items(), ("version", table.get("version"))):
        if isinstance(value, bool) or not isinstance(value, int):
            raise PolicyError(f"rule {code}: {name} must be a whole number", field=f"{code}.{name}")
    try:
        severity = Severity(str(table.get("severity")))
    except ValueError:
        raise PolicyError(
            f"rule {code}: severity must be info, review or fail", field=f"{code}.severity"
        ) from None
    return Rule(code, table["version"], severity, limits)


@cache
def _shapes() -> dict[tuple[str, int], frozenset[str]]:
    """The thresholds that the judge asks of each rule in each version that it computes."""
    return {
        (rule.code, rule.version): frozenset(rule.limits)
        for policy, _ in _shipped().values()
        for rule in policy.rules
    }


def _check_shape(policy: Policy) -> None:
    """A policy has the rules and thresholds that the judge asks for, no more and no fewer."""
    shapes = _shapes()
    codes, given = {code for code, _ in shapes}, {rule.code for rule in policy.rules}
    for code in sorted(codes ^ given):
        if code in codes:
            raise PolicyError(f"the policy lacks rule {code}", field=code)
        raise PolicyError(f"the judge knows no rule {code}", field=code)
    for rule in policy.rules:
        asked = shapes.get((rule.code, rule.version))
        if asked is None:
            raise PolicyError(
                f"rule {rule.code}: the judge computes no version {rule.version} of it",
                field=f"{rule.code}.version",
            )
        odd = asked ^ set(rule.limits)
        if odd:
            raise PolicyError(
                f"rule {rule.code}: thresholds differ: {', '.join(sorted(odd))}", field=rule.code
            )
