"""The forms that parties sign, found again in the calls that carried them to the chain.

A call's selector follows from the form's own EIP-712 type, so this table is the contracts' doors and nothing
else: which form each takes, and whose signatures, in order.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode

from chain.abi import selector
from chain.bindings import structs
from chain.typed_data import struct_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chain.abi import Struct


@dataclass(frozen=True, slots=True)
class Door:
    """A function that takes a signed form.

    Attributes:
        signers: who signs, in the order of the arguments; words that ``signatures.Who`` understands.
        rest: types of arguments after the signatures.
        many: it takes arrays of forms and of signatures.
    """

    contract: str
    function: str
    form: type[Struct]
    signers: tuple[str, ...]
    rest: tuple[str, ...] = ()
    many: bool = False

    @property
    def arguments(self) -> tuple[str, ...]:
        """The types of its arguments."""
        types = (abi_type(self.form), *("bytes" for _ in self.signers))
        return (*(f"{kind}[]" for kind in types), *self.rest) if self.many else (*types, *self.rest)

    def read(self, data: bytes) -> list[tuple[Struct, tuple[bytes, ...]]]:
        """The forms of a call and the signatures under each, from the call's data."""
        values = decode(self.arguments, data[4:])
        count = len(self.signers)
        columns: Any = values[: count + 1] if self.many else [[one] for one in values[: count + 1]]
        return [
            (self.form.from_abi(form), tuple(signatures))
            for form, *signatures in zip(*columns, strict=True)
        ]


_WAYBILLS, _TRIPS, _LINES = "WaybillRegistry", "DeliveryRegistry", "CreditFacility"
_ADVANCES, _TOKEN, _PARTIES = "FreightAdvance", "SettlementToken", "PartyRegistry"

_ALL = (
    Door(_PARTIES, "register", structs.PartyRegistration, ("form.key", "registrar")),
    Door(_PARTIES, "rotateKey", structs.KeyRotation, ("form.party", "form.new_key")),
    Door(_PARTIES, "proposeRecovery", structs.KeyRecovery, ("registrar", "form.new_key")),
    Door(_PARTIES, "revokeKey", structs.KeyRevocation, ("revoker",), ("bool",)),
    Door(_WAYBILLS, "issue", structs.Waybill, ("form.issuer?", "form.performer")),
    Door(
        _WAYBILLS, "issueBatch", structs.Waybill, ("form.issuer?", "form.performer"), ("bool",),
        many=True,
    ),
    Door(_WAYBILLS, "amend", structs.Amendment, ("issuer", "performer", "pledgee?")),
    Door(_WAYBILLS, "cancel", structs.Cancellation, ("issuer", "performer")),
    Door(_WAYBILLS, "credit", structs.CreditNote, ("issuer", "performer", "pledgee?")),
    Door(_TRIPS, "load", structs.Loading, ("driver",)),
    Door(_TRIPS, "commitTrack", structs.TrackBatch, ("form.attestor",)),
    Door(_TRIPS, "confirm", structs.Confirmation, ("form.by",)),
    Door(_TRIPS, "attest", structs.Attestation, ("form.attestor",)),
    Door(_TRIPS, "acceptReview", structs.ReviewAcceptance, ("reviewer",)),
    Door(_TRIPS, "dispute", structs.Dispute, ("form.by",)),
    Door(_LINES, "openLine", structs.CreditLine, ("form.lender", "form.borrower")),
    Door(_LINES, "changeLine", structs.LineChange, ("lender", "borrower?")),
    Door(_LINES, "setRule", structs.ApprovalRule, ("lender",)),
    Door(_LINES, "moveVault", structs.VaultMove, ("form.lender",)),
    Door(_ADVANCES, "request", structs.AdvanceRequest, ("borrower",)),
    Door(_ADVANCES, "acknowledge", structs.Acknowledgement, ("form.debtor",)),
    Door(_ADVANCES, "consent", structs.PayeeConsent, ("form.party",)),
    Door(_ADVANCES, "approve", structs.Approval, ("lender",)),
    Door(_ADVANCES, "gate", structs.Gate, ("lender",)),
    Door(_ADVANCES, "repay", structs.Repayment, ("borrower",)),
    Door(_ADVANCES, "act", structs.LenderAct, ("lender",)),
    Door(_TOKEN, "mint", structs.MintReceipt, ("first custodian", "second custodian")),
    Door(_TOKEN, "confirmPayout", structs.PayoutReceipt, ("first custodian", "second custodian")),
    Door(_TOKEN, "requestPayout", structs.PayoutRequest, ("form.party",)),
    Door(_TOKEN, "redirectPayout", structs.PayoutRedirect, ("payee", "first custodian")),
    Door("FreightSettlement", "signCascade", structs.Cascade, ("performer",)),
)  # fmt: skip


def abi_type(form: type[Struct]) -> str:
    """The ABI type of a form, from its EIP-712 type string."""
    types = struct_types(form.EIP712)
    return _tuple(next(iter(types)), types)


def _tuple(name: str, types: Mapping[str, Any]) -> str:
    members = []
    for member in types[name]:
        kind, array, rest = member["type"].partition("[")
        members.append((_tuple(kind, types) if kind in types else kind) + array + rest)
    return f"({','.join(members)})"


@functools.cache
def doors() -> dict[tuple[str, bytes], Door]:
    """Every door by contract and selector."""
    return {
        (door.contract, selector(f"{door.function}({','.join(door.arguments)})")): door
        for door in _ALL
    }
