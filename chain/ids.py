"""Names of things on the shared record, each with its own type."""

from __future__ import annotations

from typing import NewType

Address = NewType("Address", str)
"""An EVM address, EIP-55 checksummed, 0x and 40 hex digits."""

Hash32 = NewType("Hash32", str)
"""32 bytes as 0x and 64 lower-case hex digits: a block, a transaction, a root, a keyed hash."""

PartyId = NewType("PartyId", int)
"""A party in PartyRegistry: 1 .. 2^64 - 1. In JSON a decimal string, for it may pass 2^53."""

WaybillId = NewType("WaybillId", str)
"""A waybill in WaybillRegistry: the EIP-712 struct hash of the waybill as first signed (Hash32 form)."""

TripId = NewType("TripId", str)
"""A trip: keyed hash of (shipping note number, serial number) (Hash32 form)."""

AdvanceId = NewType("AdvanceId", str)
"""An advance in FreightAdvance: the EIP-712 struct hash of its request (Hash32 form)."""

LineId = NewType("LineId", str)
"""A credit line in CreditFacility: the EIP-712 struct hash of its terms (Hash32 form)."""

ZERO32 = Hash32("0x" + "00" * 32)
"""32 zero bytes: no hash. ``WaybillId(ZERO32)`` is the parent of a root."""

NOBODY = PartyId(0)
"""No party."""
