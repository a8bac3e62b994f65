"""Personal data of the caller: what is kept, who asked for it, what he agreed to, and that it be erased."""

from __future__ import annotations

from fastapi import APIRouter, Response

from api.auth import Caller, Scope
from api.dependencies import OnceOnly, Reader, TheCaller, TheContainer, require_fresh
from api.errors import ForbiddenScopeError
from api.identity.roles import Role
from api.paging import ThePage
from api.ports import Services
from api.privacy.consents import Consent
from api.privacy.persons import Subject
from api.schemas.privacy import ConsentGiven, ConsentList, ConsentShown, Erased, PersonalData

router = APIRouter(tags=["personal data"])


def _subject(services: Services, caller: Caller) -> Subject:
    """Whose data the caller may have: a person's own; a natural party's by its key or its owner.

    Raises:
        ForbiddenScopeError: the caller is no person and speaks for none.
    """
    party = caller.party_id
    speaks = not caller.is_person or caller.role in {Role.OWNER, Role.DRIVER}
    natural = party is not None and speaks and services.persons.is_natural(party)
    if not caller.is_person and not natural:
        raise ForbiddenScopeError("a firm's API key is no person; sign in to have your own data")
    return Subject(caller.account_id, party if natural else None)


def _name(services: Services, caller: Caller) -> str:
    subject = _subject(services, caller)
    return subject.account or str(subject.party)


@router.get("/personal-data")
def export(caller: Reader, container: TheContainer) -> PersonalData:
    """Everything that is kept of the caller: account, party, waybills, receipts, photos, consents, and who asked."""
    with container.write() as services:
        subject = _subject(services, caller)
        services.access.note(caller, "export", subject.account or str(subject.party))
        return PersonalData(data=services.persons.export(subject))


@router.delete("/personal-data", response_model=Erased)
def erase(caller: TheCaller, container: TheContainer, once: OnceOnly) -> Response:
    """Erases the caller's data: names, logins, plates, receipts' words, photos. The trail of hashes stands."""
    caller.require(Scope.READ)
    require_fresh(caller, container)

    def work(services: Services) -> Erased:
        subject = _subject(services, caller)
        services.access.note(caller, "erase", subject.account or str(subject.party))
        return Erased(counts=services.persons.erase(subject, caller.name))

    return once.run(caller.name, work, 200)


@router.get("/consents")
def list_consents(caller: Reader, container: TheContainer, asked: ThePage) -> ConsentList:
    """What the caller agreed to."""
    with container.read() as services:
        found = services.consents.list_of(_name(services, caller))
    page = asked.cut(found, lambda one: one.id)
    return ConsentList(data=[_show(one) for one in page.rows], **page.ends)


@router.post("/consents", status_code=201, response_model=ConsentShown)
def give(given: ConsentGiven, caller: Reader, once: OnceOnly) -> Response:
    """The caller agrees to a purpose, in the words whose hash he sends."""

    def work(services: Services) -> ConsentShown:
        name = _name(services, caller)
        return _show(services.consents.give(name, given.purpose, given.text_hash, caller.name))

    return once.run(caller.name, work)


@router.delete("/consents/{consent}", response_model=ConsentShown)
def withdraw(consent: str, caller: Reader, once: OnceOnly) -> Response:
    """The caller takes a consent back, for the future."""

    def work(services: Services) -> ConsentShown:
        return _show(services.consents.withdraw(_name(services, caller), consent))

    return once.run(caller.name, work, 200)


def _show(consent: Consent) -> ConsentShown:
    return ConsentShown(
        id=consent.id,
        purpose=consent.purpose.value,
        text_hash=consent.text_hash,
        given_at=consent.given_at,
        withdrawn_at=consent.withdrawn_at,
    )
