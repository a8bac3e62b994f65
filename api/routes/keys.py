"""API keys: had by the party's own signature, shown once, revocable."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from api.auth import ApiKey, Caller, Scope, check_key_request, read_scopes
from api.dependencies import OnceOnly, Requires, RequiresRole, TheContainer, require_fresh
from api.identity.roles import Role
from api.key_request import ApiKeyRequest
from api.paging import ThePage
from api.ports import Services
from api.schemas.deliveries import FormToSign
from api.schemas.parties import (
    KeyAsked,
    KeyChanged,
    KeyList,
    KeyOpened,
    KeyShown,
    OwnKeyAsked,
)
from api.schemas.signing import TypedData
from api.schemas.values import KeyText, PartyText
from chain.ids import Hash32, PartyId

router = APIRouter(prefix="/keys", tags=["keys"])

KeyKeeper = Annotated[Caller, Depends(Requires(Scope.KEYS))]
FreshKeyKeeper = Annotated[Caller, Depends(RequiresRole(Role.OWNER, fresh=True))]
ALL_SCOPES = " ".join(scope.value for scope in Scope)


@router.get("/form")
def prepare(
    party: PartyText,
    container: TheContainer,
    scopes: Annotated[str, Query(max_length=400)] = ALL_SCOPES,
    label: Annotated[str, Query(min_length=1, max_length=80)] = "first key",
) -> FormToSign:
    """What the party's key is to sign for an API key; nothing is kept."""
    form = ApiKeyRequest(
        party=PartyId(int(party)),
        scopes=scopes,
        label=label,
        issued_at=int(container.clock.now().timestamp()),
        salt=Hash32("0x" + secrets.token_hex(32)),
    )
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("PartyRegistry")))


@router.post("", status_code=201, response_model=KeyOpened)
def open_key(asked: KeyAsked, container: TheContainer, once: OnceOnly) -> Response:
    """A new API key. The signature is used once: a repetition under another Idempotency-Key is refused.

    Under the same one the token can be had again for a day, by who holds the very same request.
    """
    form = ApiKeyRequest(
        party=PartyId(int(asked.party)),
        scopes=asked.scopes,
        label=asked.label,
        issued_at=asked.issued_at,
        salt=Hash32(asked.salt),
    )
    domain = container.reader.domain("PartyRegistry")

    def work(services: Services) -> KeyOpened:
        party = services.records.find_party(form.party)
        scopes = check_key_request(
            form,
            bytes.fromhex(asked.signature[2:]),
            domain=domain,
            key=party.key if party else None,
            now=container.clock.now(),
        )
        key, token = services.keys.open(
            form, domain, scopes, allowed_from=asked.allowed_from, expires_at=asked.expires_at
        )
        return _opened(key, token)

    return once.run(f"party:{form.party}", work, secret=True)


@router.post("/own", status_code=201, response_model=KeyOpened)
def open_own(asked: OwnKeyAsked, caller: FreshKeyKeeper, once: OnceOnly) -> Response:
    """A new API key by an owner who has just shown who he is; shown this once."""
    scopes = read_scopes(asked.scopes)

    def work(services: Services) -> KeyOpened:
        key, token = services.keys.open_for(
            caller,
            asked.label,
            scopes,
            allowed_from=asked.allowed_from,
            expires_at=asked.expires_at,
        )
        return _opened(key, token)

    return once.run(caller.name, work, secret=True)


@router.patch("/{key_id}", response_model=KeyShown)
def allow_from(
    key_id: KeyText, given: KeyChanged, caller: KeyKeeper, container: TheContainer, once: OnceOnly
) -> Response:
    """Other networks for a key."""
    require_fresh(caller, container)

    def work(services: Services) -> KeyShown:
        return _show(services.keys.allow_from(key_id, caller.require_self(), given.allowed_from))

    return once.run(caller.name, work, 200)


def _opened(key: ApiKey, token: str) -> KeyOpened:
    return KeyOpened(
        key_id=key.key_id,
        party=str(key.party),
        scopes=[scope.value for scope in key.scopes],
        label=key.label,
        token=token,
    )


@router.get("")
def list_keys(caller: KeyKeeper, container: TheContainer, asked: ThePage) -> KeyList:
    """The caller's party's keys, newest first."""
    with container.read() as services:
        found = services.keys.list_of(caller.require_self())
    page = asked.cut(found, lambda key: key.key_id)
    return KeyList(data=[_show(key) for key in page.rows], **page.ends)


@router.delete("/{key_id}", response_model=KeyShown)
def revoke(key_id: KeyText, caller: KeyKeeper, once: OnceOnly) -> Response:
    """Takes a key out of use, at once and for ever."""

    def work(services: Services) -> KeyShown:
        return _show(services.keys.revoke(key_id, caller.require_self()))

    return once.run(caller.name, work, 200)


def _show(key: ApiKey) -> KeyShown:
    return KeyShown(
        key_id=key.key_id,
        scopes=[scope.value for scope in key.scopes],
        label=key.label,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        allowed_from=list(key.allowed_from),
        expires_at=key.expires_at,
    )
