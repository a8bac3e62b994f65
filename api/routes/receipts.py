"""Receipts without an account: whoever scans the driver's code sees what it is about and signs, once."""

from __future__ import annotations

import datetime as dt
import io
import secrets
from typing import Annotated, Literal

import segno
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.dependencies import (
    Deliverer,
    Drafter,
    OnceIfNamed,
    OnceOnly,
    RawBody,
    TheContainer,
)
from api.documents import Purpose
from api.errors import ForbiddenScopeError
from api.media import MediaRefusedError, sniff
from api.naming import Names
from api.object_ids import About, prefixed
from api.ports import Container, Services
from api.rate import Knocks
from api.receipts.errors import OtherKeyError
from api.receipts.links import Link, Paper, require_right, token_hash
from api.receipts.paper import MOST_PHOTOS, Said, check_signed, read_drawing, receipt_content
from api.receipts.pdf import receipt_pdf
from api.routes.documents import UPLOAD, show_document
from api.routes.parties import profile_hash
from api.schemas.deliveries import Accepted
from api.schemas.documents import DocumentShown
from api.schemas.parties import PartyShown
from api.schemas.receipts import (
    ConsigneeGiven,
    LinkMade,
    PaperShown,
    ReceiptAsked,
    ReceiptCode,
    ReceiptForms,
    ReceiptShown,
    ReceiptSigned,
)
from api.schemas.signing import TypedData, read_message
from api.schemas.values import HashText, TripText
from api.trip_stories import get_trip
from chain.abi import address
from chain.bindings.structs import Confirmation, Dispute, PartyRegistration
from chain.delivery import HeldTrip
from chain.document import document_hash
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import Address, Hash32, PartyId, TripId
from chain.party import Party
from chain.typed_data import recover
from chain.waybill import ZERO, HeldWaybill
from finance.advance import AdvanceState

router = APIRouter(tags=["receipts"])

BEIJING = dt.timezone(dt.timedelta(hours=8), "Asia/Shanghai")
LINK_AFTER_DEADLINE = dt.timedelta(days=1)
SIGNING_TIME = dt.timedelta(hours=1)

Token = Annotated[str, Path(min_length=20, max_length=80)]
_looking = Depends(Knocks("receipt", 60))
_printing = Depends(Knocks("receipt printing", 10))
_signing = Depends(Knocks("receipt signing", 20))


# -- for the firms and the driver -----------------------------------------------------------------


@router.post("/consignees", status_code=201, response_model=PartyShown)
def name_consignee(given: ConsigneeGiven, caller: Drafter, once: OnceOnly) -> Response:
    """Names a consignee without an account, so that waybills can name him; his first receipt enrols him."""
    party = PartyId(secrets.randbits(63) + 1)

    def work(services: Services) -> PartyShown:
        made = services.registry.await_party(
            party, name_zh=given.name_zh, name_en=given.name_en, kind="consignee"
        )
        return PartyShown(
            id=str(made.id),
            name_zh=made.name_zh,
            name_en=made.name_en,
            kind=made.kind,
            stage=made.stage.value,
            key=None,
            custody="self",
            registered_at=None,
        )

    return once.run(caller.name, work)


@router.get("/deliveries/{trip}/receipt-code")
def receipt_code(trip: TripText, caller: Deliverer, container: TheContainer) -> ReceiptCode:
    """The receiving code of a trip, for the consignor alone: he tells it to the consignee."""
    with container.read() as services:
        _, leaf = get_trip(services, trip, caller)
        root = services.records.get_waybill(leaf.root)
    teller = root.form.performer if root.declared else root.form.issuer
    if caller.party_id != teller:
        raise ForbiddenScopeError("the receiving code is told by the consignor alone")
    return ReceiptCode(code=Names(container.hash_key).receipt_code(TripId(trip)))


@router.post("/deliveries/{trip}/receipt-link", status_code=201, response_model=LinkMade)
def make_link(
    trip: TripText, request: Request, caller: Deliverer, container: TheContainer, once: OnceOnly
) -> Response:
    """A link for the consignee of a loaded trip, for its driver to show; a new one closes the one before."""

    def work(services: Services) -> LinkMade:
        held, leaf = get_trip(services, trip, caller)
        if caller.party_id not in {leaf.form.performer, leaf.form.issuer}:
            raise ForbiddenScopeError("the driver or his firm shows the consignee this code")
        deadline = dt.datetime.fromtimestamp(leaf.form.deliver_by, dt.UTC)
        expires = max(deadline, container.clock.now()) + LINK_AFTER_DEADLINE
        token = services.receipts.make(held.id, caller.require_self(), expires)
        base = container.settings.public_url or str(request.base_url)
        url = f"{base.rstrip('/')}/receipt/{token}"
        code = segno.make(url, error="m")
        drawn = io.BytesIO()
        code.save(
            drawn, kind="svg", border=2, dark="#111", light="#fff", omitsize=True, xmldecl=False
        )
        return LinkMade(url=url, qr_svg=drawn.getvalue().decode(), expires_at=expires)

    return once.run(caller.name, work)


# -- for whoever scans ----------------------------------------------------------------------------


@router.get("/receipts/{token}", dependencies=[_looking])
def look(token: Token, container: TheContainer) -> ReceiptShown:
    """What a link is about, and what became of it."""
    with container.read() as services:
        return show_receipt(services, token, container)


@router.post("/receipts/{token}/forms", response_model=ReceiptForms, dependencies=[_signing])
def prepare(
    token: Token, asked: ReceiptAsked, container: TheContainer, once: OnceIfNamed
) -> Response:
    """What the consignee's key is to sign; nothing is kept."""
    now = container.clock.now()
    at, expires = int(now.timestamp()), int((now + SIGNING_TIME).timestamp())
    with container.read() as services:
        link = services.receipts.require_open(token)
        trip, leaf, consignee = _subject(services, link)
    said = Said(
        outcome=asked.outcome,
        accepted_milli=asked.accepted_milli,
        condition=asked.condition,
        note=asked.note,
        signer=asked.signer,
        drawing_sha256=asked.drawing_sha256,
        photos=tuple(asked.photos),
    )
    content = receipt_content(said, trip, leaf, at)
    salt = secrets.token_bytes(32)
    digest = document_hash(content, salt)
    form: Confirmation | Dispute
    if asked.outcome == "confirmed":
        form = Confirmation(
            trip=trip.id,
            by=consignee.id,
            version=leaf.version,
            vehicle=leaf.vehicle or Hash32(ZERO),
            accepted=content["accepted_milli"],
            condition=content["condition"],
            document=digest,
            at=at,
            expires=expires,
            salt=_salt(),
        )
    else:
        form = Dispute(trip=trip.id, by=consignee.id, reason=digest, expires=expires, salt=_salt())
    key = address(asked.key)
    enrolment, profile_salt = None, None
    if consignee.is_awaited:
        profile_salt = "0x" + secrets.token_hex(32)
        registration = PartyRegistration(
            party=consignee.id,
            key=key,
            profile=_profile_of(consignee, profile_salt),
            expires=expires,
            salt=_salt(),
        )
        enrolment = TypedData.of(registration, container.reader.domain("PartyRegistry"))
    elif consignee.key != key:
        raise OtherKeyError(consignee=str(consignee.id))
    prepared = ReceiptForms(
        content=content,
        salt="0x" + salt.hex(),
        to_sign=TypedData.of(form, container.reader.domain("DeliveryRegistry")),
        enrolment=enrolment,
        profile_salt=profile_salt,
    )
    return once.show(f"receipt:{token_hash(token)[:24]}", prepared)


@router.post(
    "/receipts/{token}/signature",
    status_code=202,
    response_model=Accepted,
    dependencies=[_signing],
)
def sign(token: Token, given: ReceiptSigned, container: TheContainer, once: OnceOnly) -> Response:
    """Takes the signed receipt or refusal; the link is used up with it."""
    form: Confirmation | Dispute
    if given.content.get("outcome") == "refused":
        form = read_message(Dispute, given.message)
    else:
        form = read_message(Confirmation, given.message)
    with (
        container.write() as services
    ):  # a wrong code is counted even though the request is refused
        link = services.receipts.get(token)
        _, _, consignee = _subject(services, link)
        right = True
        if link.used_at is None and (consignee.is_awaited or given.enrolment is not None):
            expected = Names(container.hash_key).receipt_code(link.trip)
            right = services.receipts.check_code(token, given.code or "", expected)
    require_right(right)

    def work(services: Services) -> Accepted:
        link = services.receipts.require_open(token)
        trip, leaf, consignee = _subject(services, link)
        if form.trip != trip.id or form.by != consignee.id:
            raise InvalidValueError("the form is about another receipt", field="message")
        said = check_signed(given.content, given.salt, form, trip, leaf)
        drawing = read_drawing(given.drawing, said.drawing_sha256)
        _require_photos(services, said, trip.id)
        if consignee.is_awaited:
            _enrol(services, consignee, given)
        if isinstance(form, Dispute):
            services.registry.dispute(form, given.signature_bytes)
        else:
            services.registry.confirm_delivery(form, given.signature_bytes)
        domain = container.reader.domain("DeliveryRegistry")
        paper = Paper(
            document=form.reason if isinstance(form, Dispute) else form.document,
            trip=trip.id,
            content=given.content,
            salt=given.salt,
            signature=given.signature,
            signer=recover(form, domain, given.signature_bytes),
            drawing=drawing,
            signed_at=dt.datetime.fromtimestamp(given.content["at"], dt.UTC),
        )
        services.receipts.use(token, paper)
        return Accepted(about=prefixed("trip", trip.id), status=f"/v1/receipts/{token}")

    return once.run(f"receipt:{link.token_hash[:24]}", work, 202)


@router.post(
    "/receipts/{token}/photos",
    status_code=201,
    response_model=DocumentShown,
    dependencies=[_signing],
    openapi_extra=UPLOAD,
)
def add_photo(token: Token, body: RawBody, once: OnceOnly) -> Response:
    """Keeps a photo for a receipt that is being written; it is signed over by its SHA-256."""
    media = sniff(body)
    if not media.media_type.startswith("image/"):
        raise MediaRefusedError("a photo is a JPEG, PNG or WebP", field="body")

    def work(services: Services) -> DocumentShown:
        link = services.receipts.require_open(token)
        _, _, consignee = _subject(services, link)
        about = About("trip", link.trip)
        own = [one for one in services.documents.list_about(about) if one.owner == consignee.id]
        if len(own) >= MOST_PHOTOS:
            raise InvalidValueError(f"a receipt has at most {MOST_PHOTOS} photos", field="body")
        kept = services.documents.add(consignee.id, about, Purpose.DAMAGE_PHOTO, body, media=media)
        return show_document(kept)

    return once.run(f"receipt:{token_hash(token)[:24]}", work)


@router.get("/receipt-papers/{paper}", dependencies=[_looking])
def get_paper(paper: HashText, container: TheContainer) -> PaperShown:
    """A signed receipt by the hash of its document: whoever knows the hash was shown the receipt."""
    with container.read() as services:
        found = services.receipts.find_paper(paper)
        if found is None:
            raise NotFoundError("there is no such receipt", field="paper")
        return _show_paper(services, found)


@router.get(
    "/receipt-papers/{paper}/receipt.pdf", dependencies=[_printing], response_class=Response
)
def get_pdf(
    paper: HashText,
    request: Request,
    container: TheContainer,
    lang: Annotated[Literal["zh", "en"], Query()] = "zh",
) -> Response:
    """A signed receipt as PDF/A, with a code that leads to its check."""
    with container.read() as services:
        found = services.receipts.find_paper(paper)
    if found is None:
        raise NotFoundError("there is no such receipt", field="paper")
    base = container.settings.public_url or str(request.base_url)
    link = f"{base.rstrip('/')}/verify/{paper}"
    at = found.signed_at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M")
    name = f"receipt-{paper[2:10]}.pdf"
    return Response(
        receipt_pdf(found, lang=lang, link=link, signed_at=at),
        media_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


# -- inside ---------------------------------------------------------------------------------------


def _salt() -> Hash32:
    return Hash32("0x" + secrets.token_hex(32))


def _profile_of(consignee: Party, salt: str) -> Hash32:
    return profile_hash(consignee.name_zh, consignee.name_en, consignee.kind, salt)


def _subject(services: Services, link: Link) -> tuple[HeldTrip, HeldWaybill, Party]:
    trip = services.records.find_trip(link.trip)
    if trip is None:
        raise NotFoundError("there is no such trip")
    leaf = services.records.get_waybill(trip.leaf)
    return trip, leaf, services.records.get_party(leaf.form.consignee)


def _require_photos(services: Services, said: Said, trip: TripId) -> None:
    kept = {one.sha256 for one in services.documents.list_about(About("trip", trip))}
    lost = [photo for photo in said.photos if photo not in kept]
    if lost:
        raise InvalidValueError("a photo of this receipt has not arrived yet", field="photos")


def _enrol(services: Services, consignee: Party, given: ReceiptSigned) -> None:
    if given.enrolment is None:
        raise InvalidValueError(
            "this consignee has no key yet; sign the enrolment too", field="enrolment"
        )
    form = read_message(PartyRegistration, given.enrolment.message, field="enrolment.message")
    if form.party != consignee.id:
        raise InvalidValueError("the enrolment is another party's", field="enrolment.message.party")
    if form.profile != _profile_of(consignee, given.enrolment.profile_salt):
        raise InvalidValueError(
            "the signed profile hash is not that of this consignee",
            field="enrolment.message.profile",
        )
    services.registry.enrol_awaited(
        form, given.enrolment.signature_bytes, profile_salt=given.enrolment.profile_salt
    )


def show_receipt(services: Services, token: str, container: Container) -> ReceiptShown:
    """A link as whoever scans it sees it: no price, no phone, no position."""
    link = services.receipts.get(token)
    trip, leaf, consignee = _subject(services, link)
    parties = services.records.list_parties(sorted({leaf.form.performer, leaf.form.issuer}))
    driver, carrier = parties[leaf.form.performer], parties[leaf.form.issuer]
    advance = services.books.find_advance_of_trip(trip.id)
    state = "open"
    if link.used_at is not None:
        state = "used"
    elif link.closed_at is not None or link.expires_at <= container.clock.now():
        state = "gone"
    paper = services.receipts.find_paper_of(token)
    return ReceiptShown(
        state=state,
        expires_at=link.expires_at,
        trip=trip.id,
        trip_state=trip.state.name.lower(),
        shipping_note=str(leaf.papers.get("shipping_note", "")),
        serial=str(leaf.papers.get("serial", "")),
        goods=str(leaf.papers.get("goods", "")),
        unit=str(leaf.papers.get("unit", "")),
        loaded_milli=trip.loaded or leaf.quantity,
        plate=str(leaf.papers.get("plate", "")),
        driver_zh=driver.name_zh,
        driver_en=driver.name_en,
        carrier_zh=carrier.name_zh,
        carrier_en=carrier.name_en,
        origin=str(leaf.papers.get("origin", "")),
        destination=str(leaf.papers.get("destination", "")),
        loaded_at=trip.loaded_at,
        consignee=str(consignee.id),
        consignee_zh=consignee.name_zh,
        consignee_en=consignee.name_en,
        consignee_key=consignee.key,
        needs_code=consignee.is_awaited,
        pays_at_once=advance is not None and advance.state is AdvanceState.APPROVED,
        paid=leaf.paid > 0,
        paper=None if paper is None else _show_paper(services, paper),
    )


def _show_paper(services: Services, paper: Paper) -> PaperShown:
    name = "reason" if paper.content.get("outcome") == "refused" else "document"
    said = next(
        (
            one
            for one in services.timeline.list_about({paper.trip})
            if one.facts.get(name) == paper.document
        ),
        None,
    )
    return PaperShown(
        document=paper.document,
        content=paper.content,
        salt=paper.salt,
        signature=paper.signature,
        signer=Address(paper.signer),
        signed_at=paper.signed_at,
        on_chain=said is not None,
        transaction=said.transaction_hash if said else None,
        block=said.block_number if said else None,
    )
