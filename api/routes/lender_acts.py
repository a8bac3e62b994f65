"""What a lender does to a line or a loan after its beginning: change, default, write off, defer, decline, waive, extend."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.auth import Caller
from api.dependencies import MoneyMover, OnceOnly, Reader, RequiresRole, TheContainer
from api.four_eyes import TWO_PEOPLE, SecondPerson
from api.identity.roles import Role
from api.object_ids import prefixed
from api.ports import Services
from api.routes.advances import TheAct, accept, get_visible
from api.routes.lines import SIGNING_TIME, new_salt, show_lines
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.money import LineChangeSigned, PolicyChanged, PolicyShown
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import AdvanceText, Instant, LineText
from api.validators import IfMatch, require_match, tagged
from chain.bindings.structs import LenderAct, LineChange
from chain.clock import beijing_day
from chain.document import document_hash
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import LineId, PartyId
from chain.money import JSON_MAX_FEN
from finance.accrual import date_of
from finance.lines import raises_risk
from finance.records import LenderPolicy, LineRecord
from finance.running import GIVES_UP, Act

router = APIRouter(tags=["lenders"])

_owner_now = RequiresRole(Role.OWNER, fresh=True)

_ACTS = {act.name.lower(): act for act in Act}


# -- a line ---------------------------------------------------------------------------------------


@router.get("/lines/{line}/change")
def change_form(
    *,
    line: LineText,
    caller: MoneyMover,
    container: TheContainer,
    limit_fen: Annotated[int | None, Query(ge=0, le=JSON_MAX_FEN)] = None,
    frozen: Annotated[bool | None, Query()] = None,
    valid_until: Annotated[Instant | None, Query()] = None,
) -> FormToSign:
    """What the lender signs to change a line; left out, it stays. A higher limit needs the borrower too."""
    with container.read() as services:
        held = get_own_line(services, line, caller)
    until = valid_until or held.valid_until
    form = LineChange(
        line=held.line,
        limit=held.limit_fen if limit_fen is None else limit_fen,
        frozen=held.frozen if frozen is None else frozen,
        valid_until=int(until.timestamp()),
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("CreditFacility")))


@router.post("/lines/{line}/change", status_code=202, response_model=Accepted)
def change(
    *,
    line: LineText,
    given: LineChangeSigned,
    caller: MoneyMover,
    container: TheContainer,
    second_person: SecondPerson,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Takes a signed change: freezing and lowering by one person, what gives room by two (where he wants four eyes)."""
    form = read_message(LineChange, given.message)
    if form.line != line:
        raise InvalidValueError("the form is about another line", field="message.line")
    with container.read() as services:
        held = get_own_line(services, line, caller)
    if raises_risk(held, form):
        second_person()

    def work(services: Services) -> Accepted:
        if if_match is not None:
            seen = get_own_line(services, line, caller)
            require_match(if_match, show_lines(services, [seen], container.clock.now())[0])
        services.finance.change_line(
            form,
            bytes.fromhex(given.lender_signature[2:]),
            bytes.fromhex((given.borrower_signature or "0x")[2:]),
        )
        return Accepted(about=prefixed("line", line), status=f"/v1/lines/{line}")

    return once.run(caller.name, work, 202)


def get_own_line(services: Services, line: str, caller: Caller) -> LineRecord:
    """A line of which the caller is the lender.

    Raises:
        NotFoundError: there is none, or it is none of his business.
        InvalidValueError: he is its borrower.
    """
    held = services.books.find_line(LineId(line))
    if held is None:
        raise NotFoundError("there is no such line")
    caller.require_sight((held.lender, held.borrower), "line")
    caller.require_party(held.lender, "lender")
    return held


# -- a loan ---------------------------------------------------------------------------------------


@router.get("/advances/{advance}/act")
def act_form(
    *,
    advance: AdvanceText,
    caller: MoneyMover,
    container: TheContainer,
    act: Annotated[str, Query(pattern=f"^({'|'.join(_ACTS)})$")],
    value: Annotated[
        int,
        Query(
            ge=0,
            le=JSON_MAX_FEN,
            description="waive: fen; later_start: first day of interest, extend: due day, as Beijing day numbers",
        ),
    ] = 0,
    reason: Annotated[str, Query(min_length=1, max_length=200)],
) -> FormToSign:
    """What the lender signs to declare default, write off, start interest later, decline, waive charges or extend."""
    with container.read() as services:
        record, _ = get_visible(services, advance, caller)
    caller.require_party(record.lender, "lender")
    form = LenderAct(
        advance=record.advance,
        act=_ACTS[act].value,
        value=value,
        document=document_hash({"reason": reason}),
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    return FormToSign(to_sign=TypedData.of(form, container.reader.domain("FreightAdvance")))


@router.post("/advances/{advance}/act", status_code=202, response_model=Accepted)
def take_act(
    *,
    advance: AdvanceText,
    given: SignedForm,
    act: TheAct,
    container: TheContainer,
    second_person: SecondPerson,
) -> Response:
    """Takes a lender's act; one that gives up money or time needs two people, where he wants four eyes."""
    form = read_message(LenderAct, given.message)
    if form.act not in list(Act):
        raise InvalidValueError("there is no such act", field="message.act", given=form.act)
    with container.read() as services:
        record, _ = get_visible(services, advance, act.caller)
    act.caller.require_party(record.lender, "lender")
    if form.act in GIVES_UP and form.advance == advance:  # else it is refused below, unspent
        second_person()
    return accept(
        act,
        advance,
        form.advance,
        lambda to: to.finance.act_on_advance(form, given.signature_bytes),
    )


# -- a lender's policy ----------------------------------------------------------------------------


@router.get("/lender-policy", response_model=PolicyShown)
def get_policy(request: Request, caller: Reader, container: TheContainer) -> Response:
    """What the caller reports and decides as a lender, as in force today."""
    lender = caller.require_self()
    with container.read() as services:
        shown = _policy(services, lender, beijing_day(container.clock.now()))
    return tagged(request, shown)


@router.patch("/lender-policy", dependencies=[TWO_PEOPLE], response_model=PolicyShown)
def change_policy(
    given: PolicyChanged,
    caller: MoneyMover,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Changes it from today on; left out, it stays. ``four_eyes`` is the organisation's switch, for its owner."""
    lender = caller.require_self()
    if given.four_eyes is not None:
        _owner_now(caller, container)
    today = beijing_day(container.clock.now())

    def work(services: Services) -> PolicyShown:
        require_match(if_match, _policy(services, lender, today))
        held = services.books.find_policy(lender, today) or LenderPolicy(lender, today)
        changed = LenderPolicy(
            lender,
            today,
            net_assets_fen=_or(given.net_assets_fen, held.net_assets_fen),
            lpr_ppm=_or(given.lpr_ppm, held.lpr_ppm),
            debtor_cap_bps=held.debtor_cap_bps
            if given.debtor_cap_bps is None
            else given.debtor_cap_bps,
        )
        if changed != held:
            services.finance.set_policy(changed)
        organisation = services.people.find_of_party(lender)
        if given.four_eyes is not None:
            if organisation is None:
                raise InvalidValueError(
                    "four eyes need an organisation with two people: found one first",
                    field="four_eyes",
                )
            services.people.set_four_eyes(organisation.id, wanted=given.four_eyes)
        return _policy(services, lender, today)

    return once.run(caller.name, work, 200)


def _or(given: int | None, held: int | None) -> int | None:
    return held if given is None else given


def _policy(services: Services, lender: PartyId, today: int) -> PolicyShown:
    held = services.books.find_policy(lender, today) or LenderPolicy(lender, today)
    organisation = services.people.find_of_party(lender)
    return PolicyShown(
        effective_on=date_of(held.effective_day),
        net_assets_fen=held.net_assets_fen,
        lpr_ppm=held.lpr_ppm,
        debtor_cap_bps=held.debtor_cap_bps,
        four_eyes=organisation is not None and organisation.four_eyes,
    )
