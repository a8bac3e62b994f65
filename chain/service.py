"""Use cases of the shared record: enrol a party, draft and sign a waybill, load, confirm, dispute.

Every one writes rows and an outgoing transaction in the caller's database transaction. Rows of what is on
chain move in the ``on_`` methods of ``chain.hearing`` alone, which ``api.flow`` calls for each event.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.enums import TripState
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.waybill_registry import WaybillRegistry
from chain.errors import (
    InvalidValueError,
    NotFoundError,
    SignatureRefusedError,
    UnexpectedStateError,
)
from chain.hearing import Hearing
from chain.ids import ZERO32
from chain.party import Party, PartyStage
from chain.typed_data import recover, struct_hash
from chain.waybill import (
    ZERO,
    HeldWaybill,
    Stage,
    check_closure,
    check_fields,
    waybill_id,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from chain.abi import ContractCall, Struct
    from chain.bindings.structs import (
        Amendment,
        Cancellation,
        Confirmation,
        CreditNote,
        Dispute,
        KeyRecovery,
        KeyRotation,
        Loading,
        PartyRegistration,
        RecoveryCancellation,
        Waybill,
    )
    from chain.clock import Clock
    from chain.delivery import HeldTrip
    from chain.ids import PartyId, TripId, WaybillId
    from chain.ports import ChainReader, Outbox, Records, Signer


class Registry(Hearing):
    """Parties, waybills and deliveries. One object serves one database transaction."""

    def __init__(
        self,
        *,
        records: Records,
        outbox: Outbox,
        reader: ChainReader,
        registrar: Signer,
        clock: Clock,
    ) -> None:
        super().__init__(records)
        self._outbox = outbox
        self._reader = reader
        self._registrar = registrar
        self._clock = clock

    # -- parties ------------------------------------------------------------------------------

    def await_party(self, party: PartyId, *, name_zh: str, name_en: str, kind: str) -> Party:
        """Names a consignee who has no key yet, so that waybills can name him; the chain hears nothing.

        Raises:
            InvalidValueError: the id is taken.
        """
        if self._records.find_party(party) is not None:
            raise InvalidValueError("this party id is taken; choose another", field="party")
        awaited = Party(party, name_zh, name_en, kind, PartyStage.PENDING, None, ZERO32)
        self._records.add_party(awaited)
        return awaited

    def enrol_awaited(
        self, form: PartyRegistration, signature: bytes, *, profile_salt: str = ""
    ) -> Party:
        """Gives an awaited party the key that has signed; the registrar countersigns.

        Who may do this for the party is for the caller to know: a key decides everything after it.

        Raises:
            NotFoundError: nobody awaits this party. Else as ``register_party``.
        """
        known = self._records.find_party(form.party)
        if known is None or not (known.is_awaited or known.key == form.key):
            raise NotFoundError("no such party is awaited", field="party")
        return self.register_party(
            form,
            signature,
            name_zh=known.name_zh,
            name_en=known.name_en,
            kind=known.kind,
            profile_salt=profile_salt,
            awaited=True,
        )

    def register_party(
        self,
        form: PartyRegistration,
        signature: bytes,
        *,
        name_zh: str,
        name_en: str,
        kind: str,
        profile_salt: str = "",
        awaited: bool = False,
    ) -> Party:
        """Enrols a party whose key has signed; the registrar countersigns.

        An awaited party (``await_party``) is enrolled only where the caller says so. The salt, if it is
        given, opens the hash of the profile in lender packs.

        Raises:
            SignatureRefusedError: not by the key in the form, or expired.
            InvalidValueError: the id or the key is taken.
        """
        self._require_fresh(form.expires)
        domain = self._reader.domain("PartyRegistry")
        if recover(form, domain, signature) != form.key:
            raise SignatureRefusedError(
                "the form is not signed by the key it names", field="signature"
            )
        known = self._records.find_party(form.party)
        if known is not None:
            if known.key == form.key:
                return known
            if not (awaited and known.is_awaited):
                raise InvalidValueError("this party id is taken; choose another", field="party")
        if self._records.find_party_by_key(form.key) is not None:
            raise InvalidValueError("this key speaks for another party already", field="key")
        party = Party(
            form.party,
            name_zh,
            name_en,
            kind,
            PartyStage.PENDING,
            form.key,
            form.profile,
            profile_salt=profile_salt,
        )
        if known is None:
            self._records.add_party(party)
        else:
            self._records.save_party(party)
        countersignature = self._registrar.sign_typed_data(form, domain)
        self._queue(
            PartyRegistry.register(form, signature, countersignature), form, f"party:{form.party}"
        )
        return party

    def rotate_key(self, form: KeyRotation, old_signature: bytes, new_signature: bytes) -> None:
        """Replaces a party's key; both keys have signed."""
        self._require_signed("PartyRegistry", form, form.party, old_signature, expires=form.expires)
        if recover(form, self._reader.domain("PartyRegistry"), new_signature) != form.new_key:
            raise SignatureRefusedError("the new key has not signed", field="new_signature")
        self._queue(
            PartyRegistry.rotate_key(form, old_signature, new_signature),
            form,
            f"party:{form.party}",
        )

    def propose_recovery(self, form: KeyRecovery, new_signature: bytes) -> None:
        """Starts the replacement of a lost key; the registrar countersigns. Who may ask is for the caller.

        Raises:
            SignatureRefusedError: the new key has not signed, or the form has expired.
            InvalidValueError: the new key speaks for another party.
        """
        self._require_fresh(form.expires)
        domain = self._reader.domain("PartyRegistry")
        if recover(form, domain, new_signature) != form.new_key:
            raise SignatureRefusedError("the new key has not signed", field="signature")
        if self._records.find_party_by_key(form.new_key) is not None:
            raise InvalidValueError("this key speaks for another party already", field="new_key")
        countersignature = self._registrar.sign_typed_data(form, domain)
        self._queue(
            PartyRegistry.propose_recovery(form, countersignature, new_signature),
            form,
            f"party:{form.party}",
        )

    def cancel_recovery(self, form: RecoveryCancellation, signature: bytes) -> None:
        """The present key stops a recovery that waits."""
        self._require_signed("PartyRegistry", form, form.party, signature)
        self._queue(
            PartyRegistry.cancel_recovery(form.party, signature), form, f"party:{form.party}"
        )

    # -- waybills -----------------------------------------------------------------------------

    def draft_waybill(
        self,
        form: Waybill,
        papers: Mapping[str, Any],
        *,
        plan: Mapping[str, Any] | None = None,
        declared: bool = False,
    ) -> HeldWaybill:
        """Takes a waybill to be signed; the same form again gives the same waybill.

        Raises:
            ClosureError, InvalidValueError, NotFoundError: names the field.
        """
        known = self._records.find_waybill(waybill_id(form))
        if known is not None:
            return known
        check_fields(form, now=int(self._clock.now().timestamp()))
        for field in ("issuer", "performer", "consignee"):
            if self._records.find_party(getattr(form, field)) is None:
                raise NotFoundError(
                    f"{field} {getattr(form, field)} is not a registered party", field=field
                )
        ancestors: list[HeldWaybill] = []
        if form.parent != ZERO:
            if declared:
                raise InvalidValueError("only a root can be declared unsigned", field="declared")
            ancestors = self._records.list_ancestors(form.parent)
            if not ancestors:
                raise NotFoundError(
                    "the parent waybill is unknown", field="parent", given=form.parent
                )
            siblings = [w for w in self._records.list_children(form.parent) if _is_live(w)]
            check_closure(form, ancestors, siblings)
        if form.trip != ZERO:
            taken = self._records.find_leaf(form.trip)
            if taken is not None and _is_live(taken):
                raise InvalidValueError(
                    "this trip (shipping note and serial number) has a waybill already",
                    field="trip",
                    waybill=taken.id,
                )
        wid = waybill_id(form)
        waybill = HeldWaybill(
            id=wid,
            form=form,
            root=ancestors[-1].id if ancestors else wid,
            tier=len(ancestors),
            stage=Stage.DRAFT,
            papers=papers,
            plan=plan,
            declared=declared,
            freight=form.freight,
            quantity=form.quantity,
            vehicle=form.vehicle if form.vehicle != ZERO else None,
        )
        self._records.add_waybill(waybill)
        return waybill

    def sign_waybill(self, wid: WaybillId, party: PartyId, signature: bytes) -> HeldWaybill:
        """Takes one side's signature; with the second the waybill goes to the chain.

        Raises:
            SignatureRefusedError: not by the party's key, not a side of it, expired.
            UnexpectedStateError: the parent has not been signed yet.
        """
        waybill = self._records.get_waybill(wid)
        sides = {
            waybill.form.issuer: "issuer_signature",
            waybill.form.performer: "performer_signature",
        }
        if party not in sides:
            raise SignatureRefusedError("only issuer and performer sign a waybill", field="party")
        self._require_signed(
            "WaybillRegistry", waybill.form, party, signature, expires=waybill.form.expires
        )
        if waybill.stage is not Stage.DRAFT:
            return waybill
        waybill = replace(waybill, **{sides[party]: signature})  # type: ignore[arg-type]  # the field's name is chosen
        if not waybill.missing:
            parent = (
                None
                if waybill.form.parent == ZERO
                else self._records.get_waybill(waybill.form.parent)
            )
            if parent is not None and parent.stage in {Stage.DRAFT, Stage.REFUSED}:
                raise UnexpectedStateError(
                    "the parent waybill must be signed by both sides first",
                    field="parent",
                    parent=parent.id,
                    current=parent.stage.value,
                )
            waybill = waybill.move(Stage.SIGNED, refusal="")
            call = WaybillRegistry.issue(
                waybill.form, waybill.issuer_signature or b"", waybill.performer_signature or b""
            )
            self._outbox.queue(call, key=f"issue:{wid}", about=wid)
        self._records.save_waybill(waybill)
        return waybill

    def amend_waybill(
        self, form: Amendment, issuer: bytes, performer: bytes, pledgee: bytes = b""
    ) -> None:
        """New terms for an issued waybill, signed by both sides (and the pledgee)."""
        waybill = self._records.get_waybill(form.waybill)
        self._require_signed(
            "WaybillRegistry", form, waybill.form.issuer, issuer, expires=form.expires
        )
        self._require_signed("WaybillRegistry", form, waybill.form.performer, performer)
        self._queue(WaybillRegistry.amend(form, issuer, performer, pledgee), form, form.waybill)

    def cancel_waybill(self, form: Cancellation, issuer: bytes, performer: bytes) -> None:
        """Ends an issued waybill before loading, signed by both sides."""
        waybill = self._records.get_waybill(form.waybill)
        self._require_signed(
            "WaybillRegistry", form, waybill.form.issuer, issuer, expires=form.expires
        )
        self._require_signed("WaybillRegistry", form, waybill.form.performer, performer)
        self._queue(WaybillRegistry.cancel(form, issuer, performer), form, form.waybill)

    def credit_waybill(
        self, form: CreditNote, issuer: bytes, performer: bytes, pledgee: bytes = b""
    ) -> None:
        """Lowers what is owed on a waybill, signed by both sides (and the pledgee)."""
        waybill = self._records.get_waybill(form.waybill)
        self._require_signed(
            "WaybillRegistry", form, waybill.form.issuer, issuer, expires=form.expires
        )
        self._require_signed("WaybillRegistry", form, waybill.form.performer, performer)
        self._queue(WaybillRegistry.credit(form, issuer, performer, pledgee), form, form.waybill)

    # -- deliveries ---------------------------------------------------------------------------

    def load(self, form: Loading, signature: bytes) -> None:
        """The driver says that the truck is loaded.

        Raises:
            SignatureRefusedError, InvalidValueError, UnexpectedStateError: names the field.
        """
        trip, leaf = self._trip(form.trip)
        if trip.state is TripState.LOADED:
            return
        if trip.state is not TripState.OPEN:
            raise UnexpectedStateError(
                "the trip is not waiting to be loaded",
                field="trip",
                current=trip.state.name.lower(),
            )
        self._require_same_trip(form, leaf)
        if form.quantity != leaf.quantity:
            raise InvalidValueError(
                "the loaded quantity differs from the waybill's; both sides must amend it first",
                field="quantity",
                expected=leaf.quantity,
                given=form.quantity,
            )
        self._require_signed(
            "DeliveryRegistry", form, leaf.form.performer, signature, expires=form.expires
        )
        self._queue(DeliveryRegistry.load(form, signature), form, form.trip)

    def confirm_delivery(self, form: Confirmation, signature: bytes) -> None:
        """The consignee (or, where he stays silent, the debtor) confirms the receipt.

        Raises:
            SignatureRefusedError, InvalidValueError, UnexpectedStateError: names the field.
        """
        trip, leaf = self._trip(form.trip)
        if trip.accepted is not None:
            raise UnexpectedStateError("this delivery is confirmed already", field="trip")
        if trip.state is not TripState.LOADED:
            raise UnexpectedStateError(
                "only a loaded trip that is not held can be confirmed",
                field="trip",
                current=trip.state.name.lower(),
            )
        self._require_same_trip(form, leaf)
        if form.accepted > trip.loaded:
            raise InvalidValueError(
                "more accepted than was loaded",
                field="accepted",
                most=trip.loaded,
                given=form.accepted,
            )
        self._require_signed("DeliveryRegistry", form, form.by, signature, expires=form.expires)
        self._queue(DeliveryRegistry.confirm(form, signature), form, form.trip)

    def dispute(self, form: Dispute, signature: bytes) -> None:
        """A party of the chain holds a delivery, or marks the receivable after it."""
        _, leaf = self._trip(form.trip)
        chain = [
            leaf,
            *(self._records.list_ancestors(leaf.form.parent) if leaf.form.parent != ZERO else []),
        ]
        if not any(form.by in {w.form.issuer, w.form.performer, w.form.consignee} for w in chain):
            raise SignatureRefusedError("only a party of the chain may dispute", field="by")
        self._require_signed("DeliveryRegistry", form, form.by, signature, expires=form.expires)
        self._queue(DeliveryRegistry.dispute(form, signature), form, form.trip)

    # -- the rest -----------------------------------------------------------------------------

    def _trip(self, trip_id: TripId) -> tuple[HeldTrip, HeldWaybill]:
        trip = self._records.find_trip(trip_id)
        if trip is None:
            raise NotFoundError("there is no such trip on chain", field="trip", given=trip_id)
        return trip, self._records.get_waybill(trip.leaf)

    def _require_same_trip(self, form: Loading | Confirmation, leaf: HeldWaybill) -> None:
        if form.version != leaf.version:
            raise InvalidValueError(
                "the waybill has been amended; sign its present version",
                field="version",
                expected=leaf.version,
                given=form.version,
            )
        if form.vehicle != leaf.vehicle:
            raise InvalidValueError("the vehicle is not the waybill's", field="vehicle")
        if form.at > int(self._clock.now().timestamp()):
            raise InvalidValueError("the time lies in the future", field="at", given=form.at)

    def _require_fresh(self, expires: int) -> None:
        now = int(self._clock.now().timestamp())
        if expires <= now:
            raise SignatureRefusedError(
                "the form has expired; sign a new one", field="expires", expires=expires, now=now
            )

    def _require_signed(
        self,
        contract: str,
        form: Struct,
        party: PartyId,
        signature: bytes,
        *,
        expires: int | None = None,
    ) -> None:
        if expires is not None:
            self._require_fresh(expires)
        known = self._records.find_party(party)
        if known is None:
            raise NotFoundError(f"party {party} is not registered", field="party")
        if known.key is None:
            raise SignatureRefusedError(
                "the party's key is revoked; it needs a new one", field="signature"
            )
        signer = recover(form, self._reader.domain(contract), signature)
        if signer != known.key:
            raise SignatureRefusedError(
                "the signature is not by the present key of the party it is for",
                field="signature",
                party=str(party),
                signer=signer,
            )

    def _queue(self, call: ContractCall, form: Struct, about: str) -> None:
        """Queues a call once for each signed form: its struct hash is the business key."""
        self._outbox.queue(call, key=f"{call.function}:{struct_hash(form)}", about=about)


def _is_live(waybill: HeldWaybill) -> bool:
    return waybill.stage not in {Stage.CANCELLED, Stage.REFUSED}
