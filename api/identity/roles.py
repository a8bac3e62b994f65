"""Roles of members and what each may do. A pure table: the one place where a role becomes scopes."""

from __future__ import annotations

from enum import StrEnum

from api.key_request import Scope


class Role(StrEnum):
    """What a member is in an organisation."""

    OWNER = "owner"
    """Members, keys, custody, and everything below."""
    DISPATCHER = "dispatcher"
    """Waybills, deliveries, positions."""
    TREASURER = "treasurer"
    """Prepares what moves money or raises risk."""
    APPROVER = "approver"
    """Approves what another member has prepared."""
    AUDITOR = "auditor"
    """Looks, and changes nothing."""
    DRIVER = "driver"
    """Drives: signs his waybills, loads, asks where his money is."""


_LOOKS = frozenset({Scope.READ})

SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.OWNER: frozenset(Scope),
    Role.DISPATCHER: _LOOKS | {Scope.WAYBILLS, Scope.DELIVERIES, Scope.POSITIONS, Scope.DOCUMENTS},
    Role.TREASURER: _LOOKS | {Scope.ADVANCES},
    Role.APPROVER: _LOOKS | {Scope.APPROVALS},
    Role.AUDITOR: _LOOKS,
    Role.DRIVER: _LOOKS
    | {
        Scope.WAYBILLS,
        Scope.DELIVERIES,
        Scope.ADVANCES,
        Scope.POSITIONS,
        Scope.DOCUMENTS,
    },
}
"""What each role allows; a scope that is not here is refused."""
