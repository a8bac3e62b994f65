"""Who could sign when: keys by party over time, and every signature of the pack under the key of its day."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from chain.abi import Struct, bytes32
from chain.bindings import events, structs
from chain.errors import SignatureRefusedError
from chain.ids import NOBODY, Address, Hash32, PartyId
from chain.ports import Domain
from chain.typed_data import recover, struct_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.verifier.report import Section
    from api.verifier.story import Place, Signed, Story


_ROLES = {
    "form.by": "confirming party",
    "form.key": "the key itself,",
    "form.new_key": "the new key itself,",
    "form.party": "party",
}


@dataclass(frozen=True, slots=True)
class PackSeal(Struct):
    """Who made a pack stands by its manifest. Signed under PartyRegistry's domain."""

    EIP712: ClassVar[str] = "PackSeal(bytes32 manifest,uint64 party)"

    manifest: Hash32
    party: PartyId

    def to_abi(self) -> tuple[Any, ...]:
        """The values in order."""
        return (bytes32(self.manifest), self.party)


@dataclass(slots=True)
class Keys:
    """The keys of each party over time, from PartyRegistry's events."""

    history: dict[PartyId, list[tuple[Place, Address | None]]] = field(default_factory=dict)
    broken: dict[PartyId, str] = field(default_factory=dict)
    """Parties whose events do not follow from each other: one is missing."""

    @classmethod
    def of(cls, story: Story) -> Keys:
        """The history that the story's events make."""
        keys = cls()
        for one in story.events:
            event = one.event
            if isinstance(event, events.PartyRegistered):
                keys._move(event.party, one.place, None, event.key, first=True)
            elif isinstance(event, events.KeyRotated):
                keys._move(event.party, one.place, event.old_key, event.new_key)
            elif isinstance(event, events.KeyRevoked):
                keys._move(event.party, one.place, event.key, None)
        return keys

    def _move(
        self,
        party: PartyId,
        place: Place,
        old: Address | None,
        new: Address | None,
        *,
        first: bool = False,
    ) -> None:
        known = self.history.setdefault(party, [])
        held = known[-1][1] if known else None
        old = None if old is not None and int(old, 16) == 0 else old
        if first is not (not known) or held != old:
            self.broken[party] = "an event of its keys is missing"
        known.append((place, new))

    def at(self, party: PartyId, place: Place) -> Address | None:
        """The key that spoke for a party before a place; None if none did."""
        found = None
        for since, key in self.history.get(party, ()):
            if since < place:
                found = key
        return found

    def present(self, party: PartyId) -> Address | None:
        """The key that speaks for a party at the end of the pack."""
        known = self.history.get(party)
        return known[-1][1] if known else None


class Who:
    """Understands the words by which ``forms`` names signers."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self.waybills: dict[str, Any] = {
            struct_hash(one.form): one.form for one in story.forms(structs.Waybill)
        }
        self.lines: dict[str, Any] = {
            struct_hash(one.form): one.form for one in story.forms(structs.CreditLine)
        }
        self.requests: dict[str, Any] = {
            struct_hash(one.form): one.form for one in story.forms(structs.AdvanceRequest)
        }

    def key(self, word: str, signed: Signed) -> Address | PartyId | None:
        """The account, or the party, that a word means for a form; None where the pack does not say."""
        form: Any = signed.form
        if word.startswith("form."):
            found: Any = getattr(form, word.removeprefix("form.").removesuffix("?"))
            return Address(found) if isinstance(found, str) else PartyId(found)
        if word in {"registrar", "revoker"}:
            return self._registrar(signed.place)
        party: PartyId | None = self.party(word.removesuffix("?"), form, signed.place)
        return party

    def party(self, word: str, form: Any, place: Place) -> Any:
        """The party that a word means for a form."""
        waybill: Any = self.waybills.get(getattr(form, "waybill", ""))
        request: Any = self.requests.get(getattr(form, "advance", ""))
        line_id = getattr(form, "line", "") or getattr(request, "line", "")
        line: Any = self.lines.get(line_id)
        match word:
            case "issuer" | "performer":
                return None if waybill is None else PartyId(getattr(waybill, word))
            case "lender" | "borrower":
                return None if line is None else PartyId(getattr(line, word))
            case "driver":
                leaf: Any = next(
                    (one for one in self.waybills.values() if one.trip == form.trip), None
                )
                return None if leaf is None else PartyId(leaf.performer)
            case "pledgee":
                return self._last(events.WaybillPledged, place, "pledgee", waybill=form.waybill)
            case "reviewer":
                return self._last(events.TripWatched, place, "reviewer", trip=form.trip)
            case "payee":
                return self._last(events.PayoutQueued, place, "party", payout=form.payout)
            case _:
                side = word.removesuffix(" custodian")
                return self._last(events.CustodianChanged, place, side)

    def _registrar(self, place: Place) -> Address | None:
        found = self._last(events.RegistrarChanged, place, "registrar")
        return None if found is None else Address(str(found))

    def _last(self, kind: type, place: Place, name: str, **where: Any) -> Any:
        found = None
        for one in self._story.of(kind):
            if one.place < place and all(
                getattr(one.event, key) == value for key, value in where.items()
            ):
                found = getattr(one.event, name)
        return found


def check_keys(section: Section, keys: Keys) -> None:
    """Whether each party's key events follow from each other."""
    for party in sorted(keys.history):
        changes = len(keys.history[party]) - 1
        section.require(
            party not in keys.broken,
            "keys.history",
            f"party {party}",
            f"key {keys.present(party) or 'revoked'}, {changes} changes, none missing between",
            keys.broken.get(party, ""),
        )


@dataclass(frozen=True, slots=True)
class SignatureChecks:
    """Checks every signature of every form: by the right party, with its key of that block, not expired.

    Attributes:
        domains: EIP-712 domain by contract.
    """

    section: Section
    who: Who
    keys: Keys
    domains: Mapping[str, Domain]

    def run(self, story: Story) -> None:
        """Checks all forms of a story."""
        for signed in story.signed:
            about = f"{type(signed.form).__name__} {struct_hash(signed.form)[:14]}…"
            expires = getattr(signed.form, "expires", None)
            if expires is not None and expires < signed.at.timestamp():
                self.section.red("signature.expired", about, "taken after the form had expired")
            for word, signature in zip(signed.signers, signed.signatures, strict=True):
                self._check(about, word, signature, signed)

    def _check(self, about: str, word: str, signature: bytes, signed: Signed) -> None:
        role = _ROLES.get(word, word.removeprefix("form.").removesuffix("?"))
        if not signature and word.endswith("?"):
            if word == "form.issuer?":
                reason = "a declared root: its issuer has never signed"
                self.section.unknown("signature.declared", about, reason)
            return
        signer = self.who.key(word, signed)
        if signer is None or signer == NOBODY:
            reason = f"the pack does not say who the {role} was"
            self.section.unknown("signature.signer", about, reason)
            return
        expected = signer if isinstance(signer, str) else self.keys.at(signer, signed.place)
        if expected is None:
            self.section.red("signature.key", about, f"{role} {signer} had no key in that block")
            return
        if len(signature) != 65:
            reason = f"the {role} signed as a contract (ERC-1271); its node can be asked"
            self.section.unknown("signature.contract", about, reason)
            return
        try:
            found = recover(signed.form, self.domains[signed.contract], signature)
        except SignatureRefusedError as error:
            self.section.red("signature", about, f"{role}: {error}")
            return
        if word == "revoker" and found != expected:  # the key itself may take itself out of use
            expected = self.keys.at(getattr(signed.form, "party", NOBODY), signed.place) or expected
        self.section.require(
            found == expected,
            "signature",
            about,
            f"signed by {role} {signer}",
            f"signed by {found}, not by {role} {signer} with key {expected}",
        )


def check_seal(
    section: Section, seal: Any, manifest_hash: Hash32, keys: Keys, domain: Domain
) -> None:
    """Who made the pack, and that nobody has touched it since."""
    if seal is None:
        section.unknown(
            "seal",
            "",
            "nobody has sealed the pack; what no party and no chain proves may be altered",
        )
        return
    party = PartyId(int(seal["party"]))
    form = PackSeal(manifest_hash, party)
    try:
        found = recover(form, domain, bytes.fromhex(seal["signature"].removeprefix("0x")))
    except SignatureRefusedError as error:
        section.red("seal", f"party {party}", str(error))
        return
    section.require(
        found == keys.present(party),
        "seal",
        f"party {party}",
        "sealed the manifest with its present key",
        "has not sealed this manifest",
    )
