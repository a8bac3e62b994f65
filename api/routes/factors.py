"""How a person shows who he is: password, authenticator, passkeys, phone; and that he shows it again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.auth import Caller
from api.dependencies import (
    OnceIfNamed,
    OnceOnly,
    RequiresRole,
    TheContainer,
    require_same_origin,
    require_tls,
)
from api.identity.codes import CodePurpose
from api.identity.door import Entered
from api.identity.errors import CodeRefusedError, SignInRefusedError
from api.identity.passkeys import Asked, Passkey, Site
from api.identity.sessions import csrf_token
from api.paging import ThePage
from api.ports import Container, Services
from api.routes.organisations import show_member
from api.routes.sessions import place_of, set_session_cookie
from api.schemas.factors import (
    CodeGiven,
    CodeSent,
    PasskeyAdded,
    PasskeyAsked,
    PasskeyList,
    PasskeyMade,
    PasskeyShown,
    PasskeyText,
    PasskeyUsed,
    PasswordChanged,
    PhoneAsked,
    PhoneProved,
    Proof,
    Proved,
    RecoveryCodes,
    TotpShown,
)
from api.schemas.identity import SignedIn
from chain.errors import YundanError

router = APIRouter(tags=["sessions"])

Person = Annotated[Caller, Depends(RequiresRole())]
FreshPerson = Annotated[Caller, Depends(RequiresRole(fresh=True))]
OursOnly = Depends(require_same_origin)
OverTls = Depends(require_tls)


def site_of(request: Request, container: Container) -> Site:
    """The site that this request came to: as settings say, else as the browser says."""
    told = container.settings.public_url.rstrip("/")
    return Site(told or f"{request.url.scheme}://{request.headers.get('host', '')}")


def _entered(
    entered: Entered | SignInRefusedError, response: Response, container: Container
) -> SignedIn:
    if isinstance(entered, SignInRefusedError):
        raise entered
    set_session_cookie(response, container, entered.token)
    return SignedIn(
        member=show_member(entered.member),
        organisation=entered.member.org,
        session=entered.session.id,
        csrf=csrf_token(entered.token),
    )


# -- password and proof -------------------------------------------------------------------------------


@router.post("/sessions/proof", response_model=Proved)
def prove(
    given: Proof, caller: Person, request: Request, container: TheContainer, once: OnceOnly
) -> Response:
    """The person shows again who he is; for ten minutes he may do what is grave."""

    def work(services: Services) -> Proved | YundanError:
        refused = services.door.prove(
            caller.account_id, given.password, given.code or "", place=place_of(request)
        )
        if refused is None:
            services.sessions.note_proved(caller.session_id)
        return refused or Proved(at=container.wall.now())

    return once.run(caller.session_id, work, 200)


@router.post("/me/password", response_model=Proved)
def change_password(
    given: PasswordChanged,
    caller: Person,
    request: Request,
    container: TheContainer,
    once: OnceOnly,
) -> Response:
    """A new password; every other session of this person ends."""

    def work(services: Services) -> Proved | YundanError:
        refused = services.door.change_password(
            caller.account_id, given.old, given.new, place=place_of(request)
        )
        if refused is None:
            services.sessions.revoke_all(caller.account_id, but=caller.session_id)
        return refused or Proved(at=container.wall.now())

    return once.run(caller.name, work, 200)


# -- authenticator ------------------------------------------------------------------------------------


@router.post("/me/totp", status_code=201, response_model=TotpShown)
def start_totp(caller: FreshPerson, once: OnceOnly) -> Response:
    """A new secret for an authenticator."""

    def work(services: Services) -> TotpShown:
        started = services.factors.start_totp(caller.account_id)
        return TotpShown(secret=started.secret, uri=started.uri)

    return once.run(caller.name, work, secret=True)


@router.post("/me/totp/confirmation", response_model=RecoveryCodes)
def confirm_totp(given: CodeGiven, caller: Person, once: OnceOnly) -> Response:
    """The authenticator shows its first code; from now on sign-in asks for one."""

    def work(services: Services) -> RecoveryCodes:
        return RecoveryCodes(codes=services.factors.confirm_totp(caller.account_id, given.code))

    return once.run(caller.name, work, 200, secret=True)


@router.delete("/me/totp", response_model=Proved)
def end_totp(
    given: CodeGiven, caller: FreshPerson, container: TheContainer, once: OnceOnly
) -> Response:
    """Takes the second factor away, for who shows a code of it."""

    def work(services: Services) -> Proved:
        services.factors.end_totp(caller.account_id, given.code)
        return Proved(at=container.wall.now())

    return once.run(caller.name, work, 200)


# -- passkeys -----------------------------------------------------------------------------------------


@router.post("/me/passkeys/options", response_model=PasskeyAsked)
def ask_new_passkey(
    caller: FreshPerson, request: Request, container: TheContainer, once: OnceIfNamed
) -> Response:
    """What the browser is asked to make a passkey."""

    def work(services: Services) -> PasskeyAsked:
        return _asked(services.passkeys.ask_new(caller.account_id, site_of(request, container)))

    return once.run(caller.name, work, 200)


@router.post("/me/passkeys", status_code=201, response_model=PasskeyAdded)
def add_passkey(
    given: PasskeyMade,
    caller: FreshPerson,
    request: Request,
    container: TheContainer,
    once: OnceOnly,
) -> Response:
    """Keeps the public half of a passkey; from now on the password alone opens nothing."""

    def work(services: Services) -> PasskeyAdded:
        made = services.passkeys.add(
            caller.account_id,
            given.challenge,
            given.answer,
            given.label,
            site_of(request, container),
        )
        codes = services.factors.make_first_recovery_codes(caller.account_id)
        return PasskeyAdded(**_passkey(made).model_dump(), recovery_codes=codes)

    return once.run(caller.name, work, secret=True)


@router.get("/me/passkeys")
def list_passkeys(caller: Person, container: TheContainer, asked: ThePage) -> PasskeyList:
    """The person's passkeys."""
    with container.read() as services:
        found = services.passkeys.list_of(caller.account_id)
    page = asked.cut([_passkey(one) for one in found], lambda one: one.id)
    return PasskeyList(data=page.rows, **page.ends)


@router.delete("/me/passkeys/{passkey}", response_model=Proved)
def remove_passkey(
    passkey: PasskeyText, caller: FreshPerson, container: TheContainer, once: OnceOnly
) -> Response:
    """Takes a passkey out of use."""

    def work(services: Services) -> Proved:
        services.passkeys.remove(caller.account_id, passkey)
        return Proved(at=container.wall.now())

    return once.run(caller.name, work, 200)


@router.post("/sessions/passkey/options", dependencies=[OursOnly, OverTls])
def ask_passkey(request: Request, container: TheContainer) -> PasskeyAsked:
    """What the browser is asked to show a passkey."""
    with container.write() as services:
        return _asked(services.passkeys.ask_sign_in(site_of(request, container)))


@router.post("/sessions/passkey", status_code=201, dependencies=[OursOnly, OverTls])
def sign_in_by_passkey(
    given: PasskeyUsed, request: Request, response: Response, container: TheContainer
) -> SignedIn:
    """Signs a person in by a passkey; possession and PIN or finger are two factors in one."""
    with container.write() as services:
        account = services.passkeys.check_sign_in(
            given.challenge, given.answer, site_of(request, container)
        )
        entered = services.door.enter(
            account, method="passkey", agent=request.headers.get("user-agent", "")
        )
    return _entered(entered, response, container)


# -- phone --------------------------------------------------------------------------------------------


@router.post("/sessions/phone/code", status_code=202, dependencies=[OursOnly, OverTls])
def ask_sign_in_code(asked: PhoneAsked, request: Request, container: TheContainer) -> CodeSent:
    """Sends a code to a phone that somebody here has; the answer is the same where nobody has."""
    with container.write() as services:
        services.codes.ask(asked.phone, CodePurpose.SIGN_IN, place=place_of(request))
    return CodeSent()


@router.post("/sessions/phone", status_code=201, dependencies=[OursOnly, OverTls])
def sign_in_by_phone(
    given: PhoneProved, request: Request, response: Response, container: TheContainer
) -> SignedIn:
    """Signs a person in by a code to his phone, and his authenticator where he has one."""
    entered: Entered | SignInRefusedError | CodeRefusedError
    with container.write() as services:
        refused = services.codes.check(given.phone, CodePurpose.SIGN_IN, given.code)
        account = services.codes.find_account(given.phone)
        if refused is not None:
            entered = refused
        elif account is None or services.factors.list_needed(account):
            entered = CodeRefusedError("sign in with your passkey, or password and authenticator")
        else:
            entered = services.door.enter(
                account, method="phone", agent=request.headers.get("user-agent", "")
            )
    if isinstance(entered, CodeRefusedError):
        raise entered
    return _entered(entered, response, container)


@router.post("/me/phone/code", status_code=202, response_model=CodeSent)
def ask_phone_code(asked: PhoneAsked, caller: Person, request: Request, once: OnceOnly) -> Response:
    """Sends a code to a phone that the person says is his."""

    def work(services: Services) -> CodeSent:
        services.codes.ask(asked.phone, CodePurpose.PHONE, place=place_of(request))
        return CodeSent()

    return once.run(caller.name, work, 202)


@router.post("/me/phone", response_model=Proved)
def set_phone(
    given: PhoneProved, caller: FreshPerson, container: TheContainer, once: OnceOnly
) -> Response:
    """The person's phone, once the code that came to it is right."""

    def work(services: Services) -> Proved | YundanError:
        refused = services.codes.check(given.phone, CodePurpose.PHONE, given.code)
        if refused is None:
            services.codes.set_phone(caller.account_id, given.phone)
        return refused or Proved(at=container.wall.now())

    return once.run(caller.name, work, 200)


def _asked(asked: Asked) -> PasskeyAsked:
    return PasskeyAsked(challenge=asked.challenge, options=asked.options)


def _passkey(passkey: Passkey) -> PasskeyShown:
    return PasskeyShown(
        id=passkey.id,
        label=passkey.label,
        created_at=passkey.created_at,
        used_at=passkey.used_at,
    )
