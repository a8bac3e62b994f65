"""Keys of parties: held by the platform by explicit choice, replaced by their owner, recovered when lost."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Reader, Requires, RequiresRole, TheContainer
from api.identity.roles import Role
from api.object_ids import prefixed
from api.paging import ThePage, no_such_cursor
from api.ports import Container, Services
from api.privacy.consents import Purpose
from api.routes.parties import require_enroller, show_party, tell_party
from api.schemas.custody_keys import (
    CustodyChosen,
    KeyRotated,
    PlatformSignatures,
    PlatformSignatureShown,
    RecoveryShown,
    Signed,
    ToSign,
)
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.parties import PartyShown
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import AddressText, PartyText
from api.validators import IfMatch, require_match
from chain.abi import Struct, address
from chain.bindings import structs
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.structs import (
    KeyRecovery,
    KeyRotation,
    PartyRegistration,
    RecoveryCancellation,
)
from chain.errors import InvalidValueError, NotFoundError, UnexpectedStateError
from chain.ids import Address, Hash32, PartyId
from chain.ports import Domain
from chain.typed_data import struct_types, typed_message

router = APIRouter(tags=["party keys"])

Owner = Annotated[Caller, Depends(RequiresRole(Role.OWNER, Role.DRIVER, fresh=True))]
Guardian = Annotated[Caller, Depends(RequiresRole(Role.OWNER, fresh=True))]
SIGNING_TIME = dt.timedelta(hours=24)
CONTRACTS = (
    "PartyRegistry", "WaybillRegistry", "DeliveryRegistry", "FreightAdvance", "CreditFacility",
    "FreightSettlement", "SettlementToken",
)  # fmt: skip


def _salt() -> Hash32:
    return Hash32("0x" + secrets.token_hex(32))


def _expires(container: Container) -> int:
    return int((container.clock.now() + SIGNING_TIME).timestamp())


# -- custody by the platform --------------------------------------------------------------------------


@router.post("/party-keys/platform", status_code=202, response_model=PartyShown)
def choose_custody(
    asked: CustodyChosen, request: Request, caller: Owner, container: TheContainer, once: OnceOnly
) -> Response:
    """The caller's organisation becomes a party whose key the platform holds; the record says so for ever."""
    require_enroller(request, container)
    domain = container.reader.domain("PartyRegistry")

    def work(services: Services) -> PartyShown:
        organisation = services.people.get(caller.org_id)
        if organisation.party is not None:
            raise UnexpectedStateError("your organisation speaks for a party already")
        party = PartyId(secrets.randbits(63) + 1)
        signer = services.platform_keys.make(party, caller)
        profile = {
            "kind": asked.kind, "name_en": asked.name_en, "name_zh": asked.name_zh,
            "custody": "platform",
        }  # fmt: skip
        form = PartyRegistration(
            party=party,
            key=signer.address,
            profile=services.papers.prepare(profile, about=str(party), party=party),
            expires=_expires(container),
            salt=_salt(),
        )
        made = services.registry.register_party(
            form,
            signer.sign_typed_data(form, domain),
            name_zh=asked.name_zh,
            name_en=asked.name_en,
            kind=asked.kind,
        )
        services.papers.note_signed(form.profile)
        services.people.bind_party(organisation.id, party)
        services.consents.give(caller.account_id, Purpose.CUSTODY, asked.text_hash, caller.name)
        return show_party(made, held_by_platform=True)

    return once.run(caller.name, work, 202)


@router.post("/party-keys/platform/signatures", status_code=201, response_model=Signed)
def sign(given: ToSign, caller: Owner, container: TheContainer, once: OnceOnly) -> Response:
    """Signs a prepared form for a party whose key the platform holds; for any other there is no key here."""
    form, domain = _read_form(given.to_sign, container)

    def work(services: Services) -> Signed:
        party = services.records.get_party(caller.require_self())
        signature = services.platform_keys.sign(party, form, domain, caller)
        message = typed_message(form, domain)["message"]
        return Signed(message=message, signature="0x" + signature.hex())

    return once.run(caller.name, work)


@router.get("/party-keys/platform/signatures")
def list_signed(caller: Reader, container: TheContainer, asked: ThePage) -> PlatformSignatures:
    """What the platform has signed for the caller's party, and at whose word, newest first."""
    with container.read() as services:
        found = services.platform_keys.list_signed(
            caller.require_self(), after=asked.starting_after, limit=asked.limit + 1
        )
    if found is None:
        raise no_such_cursor()
    page = asked.page(found, lambda one: one.id)
    return PlatformSignatures(
        data=[
            PlatformSignatureShown(
                id=one.id,
                form=one.form,
                struct_hash=one.struct_hash,
                asked_by=one.asked_by,
                at=one.at,
            )
            for one in page.rows
        ],
        **page.ends,
    )


def _read_form(to_sign: dict[str, Any], container: Container) -> tuple[Struct, Domain]:
    """A form this system knows, for one of its contracts on its chain; anything else is not signed."""
    name, domain = str(to_sign.get("primaryType", "")), to_sign.get("domain")
    kind = getattr(structs, name, None) if name.isidentifier() else None
    if not (isinstance(kind, type) and issubclass(kind, Struct)) or not isinstance(domain, dict):
        raise InvalidValueError("there is no such form", field="to_sign.primaryType")
    types = to_sign.get("types")
    theirs = (
        {k: v for k, v in types.items() if k != "EIP712Domain"} if isinstance(types, dict) else {}
    )
    if theirs != struct_types(kind.EIP712):
        raise InvalidValueError("these are not the form's types", field="to_sign.types")
    for contract in CONTRACTS:
        known = container.reader.domain(contract)
        if str(
            domain.get("verifyingContract", "")
        ).lower() == known.verifying_contract.lower() and str(domain.get("chainId")) == str(
            known.chain_id
        ):
            message = to_sign.get("message")
            if not isinstance(message, dict):
                break
            return read_message(kind, message, field="to_sign.message"), known
    raise InvalidValueError("the form is not for a contract of this system", field="to_sign.domain")


# -- a new key by the present one ---------------------------------------------------------------------


@router.get("/parties/{party}/rotation")
def rotation_form(
    party: PartyText,
    caller: Annotated[Caller, Depends(Requires(Scope.KEYS))],
    container: TheContainer,
    new_key: Annotated[AddressText, Query()],
) -> FormToSign:
    """What the present key and the new one sign to change a party's key at once."""
    caller.require_party(PartyId(int(party)), "party")
    form = KeyRotation(PartyId(int(party)), address(new_key), _expires(container), _salt())
    return _form(container, form)


@router.post("/parties/{party}/rotation", status_code=202, response_model=Accepted)
def rotate(
    party: PartyText,
    given: KeyRotated,
    caller: Annotated[Caller, Depends(Requires(Scope.KEYS))],
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Changes a party's key; both have signed. A key the platform held is destroyed when the chain says so."""
    form = read_message(KeyRotation, given.message)
    _require_about(form.party, party)
    caller.require_party(form.party, "party")

    def work(services: Services) -> Accepted:
        require_match(if_match, tell_party(services, form.party))
        services.registry.rotate_key(
            form, given.signature_bytes, bytes.fromhex(given.new_signature[2:])
        )
        return _accepted(party)

    return once.run(caller.name, work, 202)


# -- a lost key ---------------------------------------------------------------------------------------


def _require_guardian(services: Services, party: PartyId, caller: Caller) -> None:
    """Passes an owner of the organisation that vouches for the party: its guardian, else itself.

    Raises:
        NotFoundError: he is neither; said as if there were no such party.
    """
    organisation = services.people.find_of_party(party)
    vouches = None if organisation is None else organisation.guardian or organisation.id
    if vouches is None or vouches != caller.org_id:
        raise NotFoundError("there is no such party in your care")


@router.get("/parties/{party}/recovery/form")
def recovery_form(
    party: PartyText,
    caller: Guardian,
    container: TheContainer,
    new_key: Annotated[AddressText, Query()],
) -> FormToSign:
    """What the new phone's key signs where the old one is lost."""
    with container.read() as services:
        _require_guardian(services, PartyId(int(party)), caller)
    return _form(
        container,
        KeyRecovery(PartyId(int(party)), address(new_key), _expires(container), _salt()),
    )


@router.post("/parties/{party}/recovery", status_code=202, response_model=Accepted)
def propose_recovery(
    party: PartyText, given: SignedForm, caller: Guardian, once: OnceOnly
) -> Response:
    """The organisation vouches for a new key; it takes effect after the waiting time, unless the old key stops it.

    Everybody in the party's organisation with a phone is told.
    """
    form = read_message(KeyRecovery, given.message)
    _require_about(form.party, party)

    def work(services: Services) -> Accepted:
        _require_guardian(services, form.party, caller)
        services.registry.propose_recovery(form, given.signature_bytes)
        services.notices.tell_party(
            form.party,
            "运单 Yundan: 有人申请更换您的签名钥匙, 三天后生效; 如非本人请立即在旧手机上取消。"
            " A new key was asked for; stop it on the old phone within three days if it was not you.",
        )
        return Accepted(about=prefixed("party", str(party)), status=f"/v1/parties/{party}/recovery")

    return once.run(caller.name, work, 202)


@router.get("/parties/{party}/recovery")
def get_recovery(party: PartyText, _: Reader, container: TheContainer) -> RecoveryShown:
    """A recovery that waits, as the contract has it: any counterparty may know it."""
    new_key, ready_at = _waiting(container, party)
    if new_key is None:
        return RecoveryShown(party=party, new_key=None, ready_at=None)
    return RecoveryShown(
        party=party, new_key=new_key, ready_at=dt.datetime.fromtimestamp(ready_at, dt.UTC)
    )


@router.get("/parties/{party}/recovery/cancellation")
def cancellation_form(party: PartyText, _: Reader, container: TheContainer) -> FormToSign:
    """What the present key signs to stop a recovery."""
    new_key, ready_at = _waiting(container, party)
    if new_key is None:
        raise NotFoundError("no recovery waits")
    return _form(container, RecoveryCancellation(PartyId(int(party)), new_key, ready_at))


@router.post("/parties/{party}/recovery/cancellation", status_code=202, response_model=Accepted)
def cancel_recovery(
    party: PartyText, given: SignedForm, caller: Reader, once: OnceOnly
) -> Response:
    """Stops a recovery by the present key's signature."""
    form = read_message(RecoveryCancellation, given.message)
    _require_about(form.party, party)

    def work(services: Services) -> Accepted:
        services.registry.cancel_recovery(form, given.signature_bytes)
        return _accepted(party)

    return once.run(caller.name, work, 202)


@router.post("/parties/{party}/recovery/end", status_code=202, response_model=Accepted)
def finish_recovery(
    party: PartyText, caller: Guardian, container: TheContainer, once: OnceOnly
) -> Response:
    """The waiting time is over: the new key speaks for the party."""
    new_key, ready_at = _waiting(container, party)
    if new_key is None:
        raise NotFoundError("no recovery waits")
    if container.clock.now().timestamp() < ready_at:
        raise UnexpectedStateError(
            "the waiting time is not over",
            ready_at=dt.datetime.fromtimestamp(ready_at, dt.UTC).isoformat(),
        )

    def work(services: Services) -> Accepted:
        _require_guardian(services, PartyId(int(party)), caller)
        services.outbox.queue(
            PartyRegistry.finish_recovery(PartyId(int(party))),
            key=f"finish_recovery:{party}:{new_key}:{ready_at}",
            about=f"party:{party}",
        )
        return _accepted(party)

    return once.run(caller.name, work, 202)


def _waiting(container: Container, party: str) -> tuple[Address | None, int]:
    new_key, ready_at = container.reader.fetch(PartyRegistry.recovery_of(PartyId(int(party))))
    return (new_key, ready_at) if ready_at else (None, 0)


def _form(container: Container, form: Struct) -> FormToSign:
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("PartyRegistry")))


def _require_about(party: PartyId, path: str) -> None:
    if str(party) != path:
        raise InvalidValueError("the form is about another party", field="message.party")


def _accepted(party: str) -> Accepted:
    return Accepted(about=prefixed("party", str(party)), status=f"/v1/parties/{party}")
