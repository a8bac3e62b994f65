"""The contracts behind ``finance.ports.OnChain``: several questions, one block, one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chain.bindings.credit_facility import CreditFacility
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.events import Minted, PayoutPaid
from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.waybill_registry import WaybillRegistry
from chain.clock import beijing_day, instant_of
from chain.errors import InvalidValueError, SignatureRefusedError
from chain.ids import AdvanceId, Hash32
from chain.typed_data import recover_digest, typed_digest
from finance.audit import ChainFacts
from finance.credit import receivable_down
from finance.day_end import midnight_after
from finance.records import ChainMoney, PayeeFacts, ReceivableRecord, RequestFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from chain.abi import Read, Struct
    from chain.bindings.structs import AdvanceRequest, CreditLine, Payee
    from chain.ids import Address, LineId, PartyId, WaybillId
    from chain.ports import BlockRef, ChainReader

_NO_HASH = "0x" + "0" * 64


def _is_by(key: Address, digest: bytes, signature: bytes) -> bool:
    try:
        return recover_digest(digest, signature) == key
    except SignatureRefusedError:
        return False  # a contract may understand what is no signature of a key


class ContractsOnChain:
    """``OnChain`` by reads of the deployed contracts.

    Args:
        reader: asks them.
        key_of: a party's key as the projection has it, for forms that their contract checks again. A
            signature by that key is good without a question; any other the chain is asked about, for the
            key may be a contract or have changed just now.
    """

    def __init__(
        self,
        reader: ChainReader,
        *,
        key_of: Callable[[PartyId], Address | None] = lambda _: None,
    ) -> None:
        self._reader = reader
        self._key_of = key_of

    def fetch_request_facts(
        self, line: LineId, form: AdvanceRequest, fingerprint: str
    ) -> RequestFacts:
        """Everything the rules want to know, at the latest block."""
        head = self._reader.fetch_head()
        leaf = self._reader.fetch(WaybillRegistry.leaf_of(form.trip), block=head.hash)
        if leaf == _NO_HASH:
            raise InvalidValueError(
                "no waybill stands for this trip", field="trip", given=form.trip
            )
        reads: list[Read[Any]] = [
            CreditFacility.get(line),
            CreditFacility.reserved(line),
            CreditFacility.drawn(line),
            WaybillRegistry.get(form.waybill),
            WaybillRegistry.get(leaf),
            DeliveryRegistry.get(form.trip),
            FreightAdvance.is_pledged(Hash32(fingerprint)),
            FreightAdvance.advance_of(form.trip),
            *(WaybillRegistry.get(payee.waybill) for payee in form.payees),
        ]
        answers = self._reader.fetch_many(reads, block=head.hash)
        (_, limit, frozen, valid_until), reserved, drawn, waybill, own, trip, pledged, taken = (
            answers[:8]
        )
        share = receivable_down(
            waybill.freight, min(own.quantity, waybill.quantity), waybill.quantity
        )
        return RequestFacts(
            block=head.number,
            limit_fen=limit,
            reserved_fen=reserved,
            drawn_fen=drawn,
            line_frozen=frozen,
            line_valid_until=instant_of(valid_until),
            receivable_fen=min(share, _owed(waybill)),
            debtor=waybill.issuer,
            debtor_signed=not waybill.declared,
            performer=waybill.performer,
            term_days=waybill.term_days,
            trip_state=trip.state.name.lower(),
            leaf=leaf,
            pledged=pledged,
            trip_taken=taken != _NO_HASH,
            payees=tuple(PayeeFacts(one.performer, _owed(one)) for one in answers[8:]),
        )

    def fetch_line(self, line: LineId) -> CreditLine:
        """The terms of a line."""
        return self._reader.fetch(CreditFacility.get(line))[0]

    def fetch_payees(self, advance: AdvanceId) -> tuple[Payee, ...]:
        """The payees of an advance."""
        return self._reader.fetch(FreightAdvance.payees_of(advance))

    def fetch_receivable(self, waybill: WaybillId, *, block: Hash32) -> ReceivableRecord:
        """What a waybill makes its issuer owe its performer, at a block."""
        record = self._reader.fetch(WaybillRegistry.get(waybill), block=block)
        return ReceivableRecord(
            waybill=waybill,
            debtor=record.issuer,
            owner=record.performer,
            freight_fen=record.freight,
            term_days=record.term_days,
        )

    def is_signed(self, party: PartyId, contract: str, form: Struct, signature: bytes) -> bool:
        """Whether the party's present key (or its ERC-1271 contract) signed the form."""
        digest = typed_digest(form, self._reader.domain(contract))
        key = self._key_of(party)
        if key is not None and _is_by(key, digest, signature):
            return True
        hashed = Hash32("0x" + digest.hex())
        return self._reader.fetch(PartyRegistry.is_signature(party, hashed, signature))

    def fetch_facts(
        self,
        at: BlockRef,
        *,
        accounts: Iterable[Address],
        lenders: Iterable[PartyId],
        lines: Mapping[LineId, PartyId],
        advances: Mapping[AdvanceId, LineId],
    ) -> ChainFacts:
        """Supply, balances, vaults, lines and advances at a block."""
        addresses, parties, ids = sorted(set(accounts)), sorted(set(lenders)), sorted(lines)
        loans = sorted(advances)
        reads: list[Read[Any]] = [
            SettlementToken.total_supply(),
            *(SettlementToken.balance_of(address) for address in addresses),
            *(CreditFacility.cash(lender) for lender in parties),
            *(CreditFacility.reserved(line) for line in ids),
            *(CreditFacility.drawn(line) for line in ids),
            *(FreightAdvance.get(advance) for advance in loans),
        ]
        answers = iter(self._reader.fetch_many(reads, block=at.hash))
        supply = next(answers)
        balances = {address: next(answers) for address in addresses}
        free = {str(lender): next(answers) for lender in parties}
        reserved = {str(lender): 0 for lender in parties}
        for line in ids:
            reserved[str(lines[line])] = reserved.get(str(lines[line]), 0) + next(answers)
        drawn = {line: next(answers) for line in ids}
        records = {advance: next(answers) for advance in loans}
        return ChainFacts(
            block=at.number,
            supply=supply,
            balances={str(account): fen for account, fen in balances.items()},
            vault_free=free,
            vault_reserved=reserved,
            outstanding={advance: _in_books(record) for advance, record in records.items()},
            drawn={str(line): fen for line, fen in drawn.items()},
            line_of={str(advance): str(line) for advance, line in advances.items()},
        )

    def fetch_money(self, at: BlockRef, *, since_day: int) -> list[ChainMoney]:
        """Mints and burns from a Beijing day up to a block."""
        since = midnight_after(since_day - 1)
        minted = self._reader.fetch_events(Minted, since=since, last=at.number)
        paid = self._reader.fetch_events(PayoutPaid, since=since, last=at.number)
        payouts = self._reader.fetch_many(
            [SettlementToken.payout_of(one.event.payout) for one in paid], block=at.hash
        )
        moved = [
            ChainMoney(
                one.event.bank_reference,
                one.event.amount,
                beijing_day(one.at),
                one.transaction_hash,
            )
            for one in minted
        ]
        return moved + [
            ChainMoney(
                one.event.sequence, -payout.amount, beijing_day(one.at), one.transaction_hash
            )
            for one, payout in zip(paid, payouts, strict=True)
        ]


def _owed(waybill: Any) -> int:
    """Freight not yet credited or paid; the quantity is taken to be accepted in full."""
    return max(0, int(waybill.freight) - int(waybill.credited) - int(waybill.paid))


def _in_books(record: Any) -> int:
    return 0 if record.state.name == "WRITTEN_OFF" else int(record.outstanding)
