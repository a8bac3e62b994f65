"""A party as we hold it: its id and key on chain, its names off chain."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt

    from chain.ids import Address, Hash32, PartyId


class PartyStage(StrEnum):
    """Where a party stands."""

    PENDING = "pending"
    """Its registration is on its way to the chain; without a key, it is awaited (a consignee to be)."""
    REGISTERED = "registered"
    REVOKED = "revoked"
    """Its key is out of use; it needs a new one."""


@dataclass(frozen=True, slots=True)
class Party:
    """A party.

    Attributes:
        name_zh: what people call it. name_en: the same in English.
        kind: its usual role, for the screens only; the chain gives no rights by it.
        key: the key that speaks for it; while PENDING the one it will have.
        profile: salted hash of who it is, on chain.
        profile_salt: what opens it, 0x and hex digits; "" where it was never given or is erased.
    """

    id: PartyId
    name_zh: str
    name_en: str
    kind: str
    stage: PartyStage
    key: Address | None
    profile: Hash32
    registered_at: dt.datetime | None = None
    profile_salt: str = ""

    @property
    def is_awaited(self) -> bool:
        """Whether waybills name it and no key has enrolled for it yet."""
        return self.stage is PartyStage.PENDING and self.key is None
