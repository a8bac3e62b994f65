"""What a party signs to be given an API key, and what a key may be used for. Shared with the client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Self

from chain.abi import Struct, bytes32, hash32
from chain.ids import Hash32, PartyId


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    """See what the party may see."""
    WAYBILLS = "waybills:write"
    """Draft and sign waybills."""
    DELIVERIES = "deliveries:write"
    """Loading, receipt, dispute."""
    ADVANCES = "advances:write"
    """Lines, requests, approvals, repayments, payouts."""
    POSITIONS = "positions:write"
    """Send positions of a terminal."""
    ATTESTATIONS = "attestations:write"
    """Read raw evidence that waits for a verdict, and attest."""
    DOCUMENTS = "documents:write"
    """Send photos and papers, and take their content away."""
    WEBHOOKS = "webhooks:write"
    """Receivers of webhooks, their secrets and their log."""
    KEYS = "keys:write"
    """See and revoke the party's API keys."""
    MEMBERS = "members:write"
    """Found the party's organisation, invite members, give roles, end sessions."""
    APPROVALS = "approvals:write"
    """Approve what another member has prepared."""


@dataclass(frozen=True, slots=True)
class ApiKeyRequest(Struct):
    """A party asks for an API key. Signed by the party's present key, under PartyRegistry's domain."""

    EIP712: ClassVar[str] = (
        "ApiKeyRequest(uint64 party,string scopes,string label,uint64 issuedAt,bytes32 salt)"
    )

    party: PartyId
    scopes: str
    label: str
    issued_at: int
    salt: Hash32

    def to_abi(self) -> tuple[Any, ...]:
        """The values in order."""
        return (self.party, self.scopes, self.label, self.issued_at, bytes32(self.salt))

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> Self:
        """The request from its values in order."""
        party, scopes, label, issued_at, salt = values
        return cls(PartyId(party), scopes, label, issued_at, hash32(salt))
