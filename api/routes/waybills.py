"""Waybills: draft one or a file of them, see them, sign them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth import Caller
from api.dependencies import Drafter, OnceOnly, RawBody, Reader, TheContainer
from api.deprecation import IMPORT_AT_ONCE
from api.errors import RowsRefusedError
from api.naming import Names
from api.ports import Services
from api.routes.parties import show_party
from api.routes.trips import show_trip
from api.schemas.values import WaybillText
from api.schemas.waybills import (
    RowRefused,
    SignatureGiven,
    WaybillDraft,
    WaybillPage,
    WaybillShown,
    WaybillsImported,
)
from api.validators import IfMatch, require_match, tagged
from api.waybill_files import FileRefusedError, read_rows
from api.waybill_forms import Drafts, parties_of, show_waybill
from chain.errors import InvalidValueError, YundanError
from chain.ids import PartyId, WaybillId
from chain.waybill import HeldWaybill, Stage

router = APIRouter(prefix="/waybills", tags=["waybills"])


@router.post("", status_code=201, response_model=WaybillShown)
def submit(
    draft: WaybillDraft, caller: Drafter, container: TheContainer, once: OnceOnly
) -> Response:
    """Takes a waybill to be signed by issuer and performer."""
    domain = container.reader.domain("WaybillRegistry")
    now = container.clock.now()

    def work(services: Services) -> WaybillShown:
        drafts = Drafts(services, Names(container.hash_key), caller, now)
        return show_waybill(drafts.take(draft), domain=domain, caller=caller)

    return once.run(caller.name, work)


@router.post(
    "/import",
    deprecated=True,
    dependencies=[Depends(IMPORT_AT_ONCE)],
    status_code=201,
    response_model=WaybillsImported,
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    },
)
def import_file(
    *,
    request: Request,
    caller: Drafter,
    container: TheContainer,
    once: OnceOnly,
    body: RawBody,
    mode: Annotated[
        Literal["all", "good"],
        Query(description="all: one bad row refuses the file; good: take the good rows"),
    ] = "all",
) -> Response:
    """Takes a CSV of waybills (text/csv, utf-8 or gb18030); each bad cell is named by line and column."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "text/csv":
        raise FileRefusedError("send the file as text/csv", field="Content-Type", given=kind)
    charset = parameters.partition("charset=")[2].strip().strip('"') or "utf-8"

    def work(services: Services) -> WaybillsImported:
        drafts = Drafts(services, Names(container.hash_key), caller, container.clock.now())
        taken, refused = _take_rows(drafts, body, charset)
        if refused and mode == "all":
            raise RowsRefusedError(
                f"nothing was imported: {len({one.row for one in refused})} rows are refused",
                [one.model_dump() for one in refused[:1000]],
            )
        return WaybillsImported(imported=len(taken), waybills=taken, refused=refused)

    return once.run(caller.name, work)


def _take_rows(
    drafts: Drafts, body: bytes, charset: str
) -> tuple[dict[str, str], list[RowRefused]]:
    taken: dict[str, str] = {}
    lines: dict[str, int] = {}
    refused: list[RowRefused] = []
    for row in read_rows(body, charset):
        faults = list(row.faults)
        draft = row.draft
        if row.ref and row.ref in lines:
            faults.append(_refusal(row.line, "ref", "twice", f"line {lines[row.ref]} has this ref"))
        elif row.ref:
            lines[row.ref] = row.line
        if row.parent_ref and not faults:
            if row.parent_ref in taken:
                draft = row.with_parent(taken[row.parent_ref])
            elif row.parent_ref in lines and lines[row.parent_ref] != row.line:
                message = f"its parent on line {lines[row.parent_ref]} is refused"
                faults.append(_refusal(row.line, "parent_ref", "parent_refused", message))
            else:
                message = f"no row above has the ref {row.parent_ref!r}"
                faults.append(_refusal(row.line, "parent_ref", "not_found", message))
        if not faults and draft is not None:
            try:
                taken[row.ref] = drafts.take(draft).id
            except YundanError as error:
                faults.append(_refusal(row.line, error.field, error.code, str(error)))
        refused += faults
    return taken, refused


def _refusal(line: int, column: str, code: str, message: str) -> RowRefused:
    return RowRefused(row=line, column=column, code=code, message=message)


Side = Literal["issuer", "performer", "consignee"]
Expanded = Annotated[
    list[Literal["issuer", "performer", "consignee", "trip"]] | None,
    Query(
        max_length=4,
        description="objects to show whole under `expanded`; repeat for more",
        examples=[["performer", "trip"]],
    ),
]


@router.get("")
def list_waybills(
    *,
    caller: Reader,
    container: TheContainer,
    stage: Stage | None = None,
    side: Annotated[Side | None, Query(description="what the caller is in them")] = None,
    parent: Annotated[WaybillText | None, Query(description="right below this waybill")] = None,
    expand: Expanded = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[WaybillText | None, Query()] = None,
    ending_before: Annotated[WaybillText | None, Query()] = None,
) -> WaybillPage:
    """The caller's waybills, newest first."""
    own = caller.require_self()
    with container.read() as services:
        before = _number(services, starting_after, own, "starting_after")
        after = _number(services, ending_before, own, "ending_before")
        rows = services.records.list_waybills(
            party=own,
            stage=stage,
            before=before,
            after=after,
            side=side or "",
            parent=WaybillId(parent) if parent else None,
            limit=limit + 1,
        )
        more = len(rows) > limit
        page = [waybill for _, waybill in (rows[-limit:] if after is not None else rows[:limit])]
        objects = expand_waybills(services, page, expand or ())
    return WaybillPage(
        data=[
            show_waybill(waybill, domain=None, caller=caller, expanded=shown)
            for waybill, shown in zip(page, objects, strict=True)
        ],
        has_more=more,
        next_cursor=page[-1].id if more else None,
    )


def _number(services: Services, cursor: str | None, party: PartyId, name: str) -> int | None:
    if cursor is None:
        return None
    number = services.records.find_number(WaybillId(cursor), party)
    if number is None:
        raise InvalidValueError(f"{name} is no waybill of yours", field=name)
    return number


def expand_waybills(
    services: Services, page: Sequence[HeldWaybill], expand: Collection[str]
) -> list[dict[str, Any] | None]:
    """What is to be shown whole beside each waybill, in a fixed number of questions."""
    if not expand:
        return [None] * len(page)
    sides = {getattr(one.form, name) for one in page for name in expand if name != "trip"}
    parties = services.records.list_parties(sorted(sides)) if sides else {}
    leaves = [one.form.trip for one in page if one.is_leaf] if "trip" in expand else []
    trips = services.records.list_trips_by_id(leaves) if leaves else {}
    verdicts = services.tracks.list_verdicts(leaves) if leaves else {}
    made: list[dict[str, Any] | None] = []
    for one in page:
        shown: dict[str, Any] = {}
        for name in expand:
            if name != "trip":
                party = parties.get(getattr(one.form, name))
                shown[name] = None if party is None else show_party(party)
            elif one.form.trip in trips:
                trip, path = trips[one.form.trip]
                verdict = verdicts.get(trip.id)
                shown[name] = show_trip(trip, path[0], verdict.verdict if verdict else "")
            else:
                shown[name] = None
        made.append(shown)
    return made


def get_visible(services: Services, waybill: str, caller: Caller) -> HeldWaybill:
    """A waybill that the caller may see: he stands in it, or in one above it in the chain.

    Raises:
        NotFoundError: there is none, or it is none of his business.
    """
    path = services.records.list_ancestors(WaybillId(waybill))
    concerned = {party for one in path for party in parties_of(one)}
    caller.require_sight(concerned, "waybill")
    return path[0]


@router.get("/{waybill}", response_model=WaybillShown)
def get_waybill(
    waybill: WaybillText,
    request: Request,
    caller: Reader,
    container: TheContainer,
    expand: Expanded = None,
) -> Response:
    """A waybill; `to_sign` is what the caller is asked to sign, if anything."""
    with container.read() as services:
        found = get_visible(services, waybill, caller)
        (expanded,) = expand_waybills(services, [found], expand or ())
    domain = container.reader.domain("WaybillRegistry")
    return tagged(request, show_waybill(found, domain=domain, caller=caller, expanded=expanded))


@router.post("/{waybill}/signatures", response_model=WaybillShown)
def sign(
    *,
    waybill: WaybillText,
    given: SignatureGiven,
    caller: Drafter,
    container: TheContainer,
    once: OnceOnly,
    if_match: IfMatch = None,
) -> Response:
    """Takes the caller's signature; with both sides' the waybill goes to the chain.

    With If-Match, the ETag of the waybill as `GET` showed it, nothing is signed that has changed since.
    """
    signature = bytes.fromhex(given.signature[2:])
    domain = container.reader.domain("WaybillRegistry")

    def work(services: Services) -> WaybillShown:
        found = get_visible(services, waybill, caller)
        require_match(if_match, show_waybill(found, domain=domain, caller=caller))
        party = caller.require_self()
        if party not in {found.form.issuer, found.form.performer}:
            raise InvalidValueError("only issuer and performer sign a waybill", field="signature")
        signed = services.registry.sign_waybill(found.id, party, signature)
        return show_waybill(signed, domain=None, caller=caller)

    return once.run(caller.name, work, 200)
