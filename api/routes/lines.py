"""Credit lines and the lender's vault."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Collection, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api.dependencies import MoneyMover, OnceIfNamed, OnceOnly, Reader, TheContainer
from api.four_eyes import TWO_PEOPLE, require_own_word
from api.object_ids import prefixed
from api.paging import no_such_cursor
from api.ports import Services
from api.routes.expansion import expand_parties
from api.schemas.deliveries import Accepted, FormToSign
from api.schemas.line_rules import RuleShown
from api.schemas.money import LineAsked, LinePage, LineShown, TwiceSigned, VaultAsked
from api.schemas.signing import SignedForm, TypedData, read_message
from api.schemas.values import LineText
from api.validators import tagged
from chain.bindings.structs import CreditLine, VaultMove
from chain.errors import NotFoundError
from chain.ids import Hash32, LineId, PartyId
from finance.approval_rule import LineRule
from finance.records import LineRecord

router = APIRouter(tags=["credit lines"])

SIGNING_TIME = dt.timedelta(days=7)


def new_salt() -> Hash32:
    """A salt that makes a form single-use."""
    return Hash32("0x" + secrets.token_hex(32))


def show_rule(rule: LineRule, now: dt.datetime) -> RuleShown:
    """A line's rule as callers see it."""
    return RuleShown(
        debtor="" if rule.debtor is None else str(rule.debtor),
        most_fen=rule.most_fen,
        until=rule.until,
        valid_for_s=rule.valid_for_s,
        in_force=rule.is_in_force(now),
        set_at=rule.set_at,
    )


def show_line(line: LineRecord, rule: RuleShown | None = None) -> LineShown:
    """A line as callers see it, with the lender's rule on it."""
    return LineShown(
        id=line.line,
        lender=str(line.lender),
        borrower=str(line.borrower),
        state=line.state.value,
        frozen=line.frozen,
        limit_fen=line.limit_fen,
        reserved_fen=line.reserved_fen,
        drawn_fen=line.drawn_fen,
        held_fen=line.held_fen,
        headroom_fen=line.as_line.headroom,
        rate_ppm=line.terms.rate_ppm,
        penalty_ppm=line.terms.penalty_ppm,
        ceiling_ppm=line.terms.ceiling_ppm,
        fee_bps=line.terms.fee_bps,
        advance_bps=line.advance_bps,
        tolerance_bps=line.tolerance_bps,
        tenor_days=line.terms.tenor_days,
        grace_days=line.terms.grace_days,
        valid_until=line.valid_until,
        rule=rule,
    )


@router.post("/lines/form", response_model=FormToSign)
def prepare(
    asked: LineAsked, caller: MoneyMover, container: TheContainer, once: OnceIfNamed
) -> Response:
    """What lender and borrower sign for a credit line; nothing is kept."""
    form = CreditLine(
        lender=PartyId(int(asked.lender)),
        borrower=PartyId(int(asked.borrower)),
        limit=asked.limit_fen,
        rate_ppm=asked.rate_ppm,
        penalty_ppm=asked.penalty_ppm,
        ceiling_ppm=asked.ceiling_ppm,
        fee_bps=asked.fee_bps,
        advance_bps=asked.advance_bps,
        tolerance_bps=asked.tolerance_bps,
        tenor_days=asked.tenor_days,
        grace_days=asked.grace_days,
        attestor=PartyId(int(asked.attestor)),
        gated=asked.gated,
        valid_until=int(asked.valid_until.timestamp()),
        terms=Hash32(asked.terms),
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    prepared = FormToSign(to_sign=TypedData.of(form, container.reader.domain("CreditFacility")))
    return once.show(caller.name, prepared)


@router.post("/lines", dependencies=[TWO_PEOPLE], status_code=202, response_model=LineShown)
def open_line(given: TwiceSigned, caller: MoneyMover, once: OnceOnly) -> Response:
    """Opens a line that both sides have signed."""
    form = read_message(CreditLine, given.message)
    if caller.party_id not in {form.lender, form.borrower}:
        caller.require_party(form.lender, "message.lender")

    def work(services: Services) -> LineShown:
        require_own_word(services, form.lender, caller)
        line = services.finance.open_line(
            form,
            bytes.fromhex(given.lender_signature[2:]),
            bytes.fromhex(given.borrower_signature[2:]),
        )
        return show_line(line)

    return once.run(caller.name, work, 202)


Expanded = Annotated[
    list[Literal["lender", "borrower"]] | None,
    Query(
        max_length=2,
        description="parties to show whole under `expanded`; repeat for more",
        examples=[["lender"]],
    ),
]


@router.get("/lines")
def list_lines(
    *,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[LineText | None, Query()] = None,
    expand: Expanded = None,
) -> LinePage:
    """The caller's lines, as lender and as borrower, newest first."""
    own = caller.require_self()
    with container.read() as services:
        after = None
        if starting_after is not None:
            after = services.books.find_line(LineId(starting_after))
            if after is None or own not in (after.lender, after.borrower):
                raise no_such_cursor()
        found = services.books.page_lines(own, after=after, limit=limit + 1)
        page, more = found[:limit], len(found) > limit
        return LinePage(
            data=show_lines(services, page, container.clock.now(), expand),
            has_more=more,
            next_cursor=page[-1].line if more else None,
        )


@router.get("/lines/{line}", response_model=LineShown)
def get_line(
    line: LineText,
    request: Request,
    caller: Reader,
    container: TheContainer,
    expand: Expanded = None,
) -> Response:
    """A line, for its lender and its borrower."""
    with container.read() as services:
        found = services.books.find_line(LineId(line))
        if found is None:
            raise NotFoundError("there is no such line")
        caller.require_sight((found.lender, found.borrower), "line")
        return tagged(request, show_lines(services, [found], container.clock.now(), expand)[0])


def show_lines(
    services: Services,
    lines: Sequence[LineRecord],
    now: dt.datetime,
    expand: Collection[str] | None = None,
) -> list[LineShown]:
    """Lines as their ``GET`` shows them: with the lender's rule, and the parties that were asked for."""
    rules = services.books.list_rules([line.line for line in lines])
    sides = [{"lender": line.lender, "borrower": line.borrower} for line in lines]
    expanded = expand_parties(services, sides, expand or ())
    return [
        show_line(
            line, show_rule(rules[line.line], now) if line.line in rules else None
        ).model_copy(update={"expanded": shown})
        for line, shown in zip(lines, expanded, strict=True)
    ]


@router.post("/vault/form", response_model=FormToSign)
def prepare_vault(
    asked: VaultAsked, caller: MoneyMover, container: TheContainer, once: OnceIfNamed
) -> Response:
    """What a lender signs to move his own money into or out of his vault."""
    form = VaultMove(
        lender=caller.require_self(),
        deposit=asked.deposit,
        amount=asked.amount_fen,
        expires=int((container.clock.now() + SIGNING_TIME).timestamp()),
        salt=new_salt(),
    )
    prepared = FormToSign(to_sign=TypedData.of(form, container.reader.domain("CreditFacility")))
    return once.show(caller.name, prepared)


@router.post("/vault", dependencies=[TWO_PEOPLE], status_code=202, response_model=Accepted)
def move_vault(given: SignedForm, caller: MoneyMover, once: OnceOnly) -> Response:
    """Moves the lender's money; the chain decides."""
    form = read_message(VaultMove, given.message)
    caller.require_party(form.lender, "message.lender")

    def work(services: Services) -> Accepted:
        services.finance.move_vault(form, given.signature_bytes)
        return Accepted(
            about=prefixed("party", str(form.lender)), status="/v1/ledger/trial-balance"
        )

    return once.run(caller.name, work, 202)
