"""Parties: prepare a registration, take it signed, show one."""

from __future__ import annotations

import datetime as dt
import hmac
import secrets

from fastapi import APIRouter, Request, Response

from api.dependencies import OnceIfNamed, OnceOnly, Reader, TheContainer
from api.errors import ForbiddenScopeError
from api.ports import Container, Services
from api.schemas.parties import PartyForm, PartyFormAsked, PartyGiven, PartyShown
from api.schemas.signing import TypedData, read_message
from api.schemas.values import PartyText
from api.validators import tagged
from chain.abi import address
from chain.bindings.structs import PartyRegistration
from chain.document import document_hash
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import Hash32, PartyId
from chain.party import Party

router = APIRouter(prefix="/parties", tags=["parties"])

SIGNING_TIME = dt.timedelta(days=1)


def profile_hash(name_zh: str, name_en: str, kind: str, salt: str) -> Hash32:
    """What stands on chain of who a party is."""
    content = {"kind": kind, "name_en": name_en, "name_zh": name_zh}
    return document_hash(content, bytes.fromhex(salt[2:]))


def show_party(party: Party, *, held_by_platform: bool = False) -> PartyShown:
    """A party as callers see it; and whether the platform holds its key, which nobody should have to ask."""
    return PartyShown(
        id=str(party.id),
        name_zh=party.name_zh,
        name_en=party.name_en,
        kind=party.kind,
        stage=party.stage.value,
        key=party.key,
        custody="platform" if held_by_platform else "self",
        registered_at=party.registered_at,
    )


def require_enroller(request: Request, container: Container) -> None:
    """Enrolling says that somebody was identified: outside a demo it needs the operator's token."""
    if container.settings.demo:
        return
    expected = container.settings.enrol_token.get_secret_value()
    given = request.headers.get("x-enrol-token", "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise ForbiddenScopeError(
            "parties are enrolled by the operator, once they are identified",
            field="X-Enrol-Token",
        )


@router.post("/form", response_model=PartyForm)
def prepare(asked: PartyFormAsked, container: TheContainer, once: OnceIfNamed) -> Response:
    """What a new party's key is to sign; nothing is kept."""
    salt = "0x" + secrets.token_hex(32)
    form = PartyRegistration(
        party=PartyId(int(asked.party) if asked.party else secrets.randbits(63) + 1),
        key=address(asked.key),
        profile=profile_hash(asked.name_zh, asked.name_en, asked.kind, salt),
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=Hash32("0x" + secrets.token_hex(32)),
    )
    domain = container.reader.domain("PartyRegistry")
    prepared = PartyForm(
        party=str(form.party), to_sign=TypedData.of(form, domain), profile_salt=salt
    )
    return once.show("enrol", prepared)


@router.post("", status_code=202, response_model=PartyShown)
def register(
    given: PartyGiven, request: Request, container: TheContainer, once: OnceOnly
) -> Response:
    """Enrols a party whose key has signed; the registrar countersigns and the chain decides."""
    require_enroller(request, container)
    form = read_message(PartyRegistration, given.message)
    if form.profile != profile_hash(given.name_zh, given.name_en, given.kind, given.profile_salt):
        raise InvalidValueError(
            "the signed profile hash is not that of these names", field="message.profile"
        )

    def work(services: Services) -> PartyShown:
        party = services.registry.register_party(
            form,
            given.signature_bytes,
            name_zh=given.name_zh,
            name_en=given.name_en,
            kind=given.kind,
            profile_salt=given.profile_salt,
        )
        return show_party(party)

    return once.run("enrol", work, 202)


@router.get("/{party}", response_model=PartyShown)
def get_party(party: PartyText, request: Request, container: TheContainer, _: Reader) -> Response:
    """A party by its id: names and present key, which every counterparty may know."""
    with container.read() as services:
        return tagged(request, tell_party(services, PartyId(int(party))))


def tell_party(services: Services, party: PartyId) -> PartyShown:
    """A party as its ``GET`` shows it.

    Raises:
        NotFoundError: there is none.
    """
    found = services.records.find_party(party)
    if found is None:
        raise NotFoundError("there is no such party", field="party")
    return show_party(found, held_by_platform=services.platform_keys.holds_for(found))
