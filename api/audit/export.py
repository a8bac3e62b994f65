"""Writes the lender pack of a trip: one zip, the same bytes for the same record."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import rfc8785
from eth_utils.crypto import keccak

from api.audit.paper import maker, render_paper
from api.audit.purpose import VIEWS, Purpose, View
from api.audit.record import Anchor, Recorder
from api.identity.people import ERASED
from api.media import sniff
from api.object_ids import About
from api.verifier import pack as packs
from api.verifier.money import check_advances
from api.verifier.pack import Pack
from api.verifier.page import render_page, sheet_of
from api.verifier.reading import Reading
from api.verifier.report import Section
from api.verifier.signatures import Keys, PackSeal
from api.verifier.state import expected_records
from api.verifier.verify import manifest_entry
from api.verifier.waybills import check_waybills
from chain.abi import hash32, json_value
from chain.bindings import events, structs
from chain.clock import rfc3339
from chain.document import disclose, show_papers
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import Hash32, PartyId, TripId, WaybillId
from chain.typed_data import struct_hash
from chain.waybill import ZERO
from finance import forests
from finance.audit import book_of
from finance.forests import shipped_forest
from tracking.policy import find_policy_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from api.bootstrap import Container, Services
    from api.verifier.story import Story
    from chain.client import ChainClient
    from chain.ports import Domain, Signer
    from finance.ledger import Entry
    from finance.payout_service import Told

LEVEL = 9


@dataclass(frozen=True, slots=True)
class Papers:
    """What belongs to a waybill beside the chain; None where it is erased."""

    id: WaybillId
    papers: Mapping[str, Any] | None
    plan: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class PartyName:
    """What a party is called; the salt opens the hash of its profile, where it is on file."""

    id: PartyId
    kind: str
    name_zh: str | None
    name_en: str | None
    salt: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReceiptTold:
    """What a consignee signed at the gate: the content behind the hash on chain, None where it is erased."""

    document: Hash32
    content: Mapping[str, Any] | None
    salt: bytes
    pictures: Sequence[bytes] = ()
    """Photos and drawn signature, as they were sent."""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything of a pack that no chain holds.

    Attributes:
        evidence: as ``tracking.evidence.to_json`` gives it; None if it is erased or there is none.
        policy: text of the policy file that the waybill names, None if it is not at hand.
        verdict: as ``tracking.verdict.Verdict.to_json`` gives it.
        decisions: decision records; forests: the rules they were made by, as data.
        entries: journal entries, or None to leave the books out.
        payouts: what the bank was told and has said, or None likewise.
        receipts: what was signed at the gate.
    """

    trip: TripId
    waybills: Sequence[Papers]
    names: Callable[[Sequence[PartyId]], Sequence[PartyName]]
    entries: Callable[[Story], Sequence[Entry]] | None = None
    evidence: Mapping[str, Any] | None = None
    policy: str | None = None
    verdict: Mapping[str, Any] | None = None
    decisions: Sequence[Mapping[str, Any]] = ()
    forests: Sequence[Mapping[str, Any]] = ()
    payouts: Callable[[Story], Sequence[Told]] | None = None
    receipts: Sequence[ReceiptTold] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """A pack that was written; ``first`` is its earliest block."""

    path: Path
    anchor: int
    anchor_hash: str
    first: int
    size: int
    transactions: int
    files: Mapping[str, int] = field(default_factory=dict)


def export_trip(
    container: Container,
    trip: TripId,
    path: Path,
    *,
    purpose: Purpose = Purpose.LENDER,
    tell: Callable[[str, int], None] | None = None,
    within: Anchor | None = None,
) -> Exported:
    """Writes the pack of a trip that this system knows.

    Raises:
        NotFoundError: no such trip.
        ChainUnavailableError: the node does not answer, or what it says proves nothing.
    """
    with container.read() as services:
        material = gather_material(services, trip)
        return write_pack(
            container.client,
            material,
            path,
            purpose=purpose,
            seal=sealer(container),
            tell=tell,
            within=within,
        )


def sealer(container: Container) -> tuple[PartyId, Signer] | None:
    """Who stands by the packs of this system, with his key; None if nobody does."""
    party = PartyId(container.settings.attestor_party)
    return (party, container.attestor) if party else None


def gather_material(services: Services, trip: TripId) -> Material:
    """What the database holds of a trip.

    Raises:
        NotFoundError: no such trip.
    """
    leaf = services.records.find_leaf(trip)
    if leaf is None:
        raise NotFoundError("there is no such trip", field="trip", given=trip)
    above = [] if leaf.form.parent == ZERO else services.records.list_ancestors(leaf.form.parent)
    advance = services.books.find_advance_of_trip(trip)
    decision = None if advance is None else services.books.find_decision(advance.decision)
    verdict = services.tracks.find_verdict(trip)

    def names(parties: Sequence[PartyId]) -> list[PartyName]:
        known = services.records.list_parties(parties)
        found = []
        for party in parties:
            one = known.get(party)
            if one is None or one.name_zh == ERASED:
                found.append(PartyName(party, "", None, None))
            else:
                salt = bytes.fromhex(one.profile_salt[2:]) if one.profile_salt else None
                found.append(PartyName(party, one.kind, one.name_zh, one.name_en, salt))
        return found

    def entries(story: Story) -> list[Entry]:
        found = services.books.list_entries_of({one.transaction for one in story.events})
        if advance is not None:
            about = services.books.list_entries(book_of(advance.lender), about=advance.advance)
            found += [entry for entry in about if not entry.source]
        return found

    def payouts(story: Story) -> list[Told]:
        queued = [one.event.payout for one in story.of(events.PayoutQueued)]
        return [told for one in queued if (told := services.payouts.told(one)) is not None]

    return Material(
        trip=trip,
        waybills=[Papers(one.id, one.papers, one.plan) for one in (leaf, *above)],
        names=names,
        entries=entries,
        evidence=services.tracks.find_evidence(trip),
        policy=find_policy_text(leaf.form.policy),
        verdict=None if verdict is None else verdict.document,
        decisions=[] if decision is None else [packs.read_json(decision.decision.record, "record")],
        forests=[] if decision is None else _forests(decision.forest),
        payouts=payouts,
        receipts=list(_receipts_of(services, trip)),
    )


def _receipts_of(services: Services, trip: TripId) -> Iterator[ReceiptTold]:
    """Receipts signed through a link, with the photos that they name."""
    for kept in services.papers.list_about(trip):
        if kept.salt is not None:
            yield ReceiptTold(kept.document, kept.content, kept.salt)
    for one in services.receipts.list_papers(trip):
        if not one.salt:
            yield ReceiptTold(Hash32(one.document), None, b"")
            continue
        wanted = set(one.content["photos"])
        photos = {
            document.sha256: services.documents.get_content(document.id)
            for document in services.documents.list_about(About("trip", trip))
            if document.sha256 in wanted and document.erased_at is None
        }
        pictures = [*photos.values(), *([one.drawing] if one.drawing else [])]
        salt = bytes.fromhex(one.salt[2:])
        yield ReceiptTold(Hash32(one.document), one.content, salt, pictures)


def _forests(wanted: str) -> list[Mapping[str, Any]]:
    """The shipped rules, if a decision was made by them."""
    if shipped_forest().hash != wanted:
        return []
    return [json.loads(resources.files(forests).joinpath(forests.PRESENT).read_text("utf-8"))]


# -- writing ---------------------------------------------------------------------------------------


def write_pack(
    client: ChainClient,
    material: Material,
    path: Path,
    *,
    purpose: Purpose = Purpose.LENDER,
    seal: tuple[PartyId, Signer] | None = None,
    tell: Callable[[str, int], None] | None = None,
    within: Anchor | None = None,
) -> Exported:
    """Proves the chain's part, joins the material to it, and writes the zip.

    Args:
        client: the node, with its deployment.
        material: what no chain holds.
        path: where to; an existing file is replaced when the pack is whole.
        purpose: what the reader needs it for; what he does not need stays closed.
        seal: who stands by the pack, with his key.
        tell: called with a word and a count, for progress.
        within: the anchor of a portfolio, whose packs have neither the headers between nor a PDF each.
    """
    view = VIEWS[purpose]
    recorder = Recorder(client, tell, anchor=within)
    record, story = recorder.gather(material.trip, [one.id for one in material.waybills])
    recorder.join(record, unbroken=within is None)
    texts: dict[str, Any] = {
        packs.PARTIES: [
            _party(one, view) for one in material.names(sorted(Keys.of(story).history))
        ],
        packs.WAYBILLS: _papers(material.waybills, story, view),
        packs.TRACK: None if material.evidence is None else _track(material.evidence, story),
        packs.VERDICT: material.verdict,
        packs.DECISIONS: list(material.decisions) or None,
        packs.FORESTS: list(material.forests) or None,
        packs.LEDGER: None if material.entries is None else _ledger(material.entries(story)),
        packs.PAYOUTS: None
        if material.payouts is None
        else _payouts(material.payouts(story), view),
        packs.RECEIPTS: _receipts(material.receipts, view) or None,
        packs.HEADERS: ["0x" + record.headers[at].hex() for at in sorted(record.headers)],
        packs.BLOCKS: record.blocks,
    }
    files = {name: rfc8785.dumps(value) for name, value in texts.items() if value is not None}
    for receipt in material.receipts if view.pictures else ():
        files |= {photo_name(picture): picture for picture in receipt.pictures}
    if material.policy is not None:
        files[packs.POLICY] = material.policy.encode()
    manifest: dict[str, Any] = {
        "form": packs.FORM,
        "trip_id": material.trip,
        "chain_id": client.chain_id,
        "anchor": recorder.anchor.number,
        "anchor_hash": recorder.anchor.hash,
        "contracts": {
            name: {"address": one.address, "code_hash": one.code_hash}
            for name, one in client.deployment.contracts.items()
        },
        "files": [],
    }
    # The pack is read as its reader will: what is to be proven, and the page, follow from that.
    reading = Reading.of(Pack(files, manifest))
    reading.read_chain()
    aside = Section("", "")
    papers = reading.pack.json(packs.WAYBILLS)
    reading.chain = check_waybills(aside, reading.story, papers, reading.trip)
    reading.loans = check_advances(aside, reading.story, reading.chain, reading.trip)
    expected = expected_records(
        reading.story, reading.keys, reading.chain, reading.trip, reading.loans
    )
    files[packs.STATE] = rfc8785.dumps(recorder.prove_state(expected))
    files[packs.PAGE] = render_page(sheet_of(reading))
    if within is None:
        files[packs.PAPER] = render_paper(reading)
        manifest["paper"] = maker()
    listed = in_order(files)
    manifest["files"] = [manifest_entry(name, files[name]) for name in listed]
    files[packs.MANIFEST] = rfc8785.dumps(manifest)
    if seal is not None:
        files[packs.SEAL] = seal_manifest(files[packs.MANIFEST], *seal, domain=reading.domains)
    zip_files(files, path)
    return Exported(
        path=path,
        anchor=recorder.anchor.number,
        anchor_hash=recorder.anchor.hash,
        first=min(record.headers),
        size=path.stat().st_size,
        transactions=len(reading.story.transactions),
        files={name: len(files[name]) for name in in_order(files)},
    )


def seal_manifest(
    manifest: bytes, party: PartyId, signer: Signer, *, domain: Mapping[str, Domain]
) -> bytes:
    """The seal: who made the pack signs the hash of its manifest."""
    form = PackSeal(hash32(keccak(manifest)), party)
    signature = signer.sign_typed_data(form, domain["PartyRegistry"])
    return rfc8785.dumps({"party": str(party), "signature": "0x" + signature.hex()})


def in_order(files: Mapping[str, bytes]) -> list[str]:
    """The names of files as they stand in a pack."""
    known = [name for name in packs.ORDER if name in files]
    return known + sorted(files.keys() - set(known))


def photo_name(picture: bytes) -> str:
    """The name of a photo in a pack.

    Raises:
        InvalidValueError: it is neither JPEG nor PNG nor WebP.
    """
    media = sniff(picture)
    ending = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}.get(media.media_type)
    if ending is None:
        raise InvalidValueError("a photo is a JPEG, a PNG or a WebP picture", field="photo")
    return f"photos/{hashlib.sha256(picture).hexdigest()}.{ending}"


def zip_files(files: Mapping[str, bytes], path: Path) -> None:
    """Writes the one legal zip of some files, whole or not at all."""
    draft = path.with_name(path.name + ".draft")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name in in_order(files):
            info = zipfile.ZipInfo(name, packs.ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 3
            info.external_attr = packs.ZIP_MODE
            archive.writestr(info, files[name], compresslevel=LEVEL)
    draft.replace(path)


def _party(one: PartyName, view: View) -> dict[str, Any]:
    """A party's names as far as the reader may see them; None where they are erased."""
    if one.name_zh is None:
        return {"id": str(one.id), "names": None}
    content = {"kind": one.kind, "name_en": one.name_en, "name_zh": one.name_zh}
    withheld = {"name_en", "name_zh"} if one.kind in view.kinds else set()
    if one.salt is not None:
        return {"id": str(one.id), "names": disclose(content, one.salt, withheld)}
    # Without the salt there is no digest to leave in its place: a withheld name is just not there.
    opened = {name: [value, None] for name, value in content.items() if name not in withheld}
    return {"id": str(one.id), "names": {"opened": opened, "closed": {}}}


def _papers(waybills: Sequence[Papers], story: Story, view: View) -> list[dict[str, Any]]:
    """Papers, as far as the reader may see them, beside the terms as they were signed."""
    forms = {struct_hash(one.form): one.form for one in story.forms(structs.Waybill)}
    return [
        {
            "id": one.id,
            "form": json_value(forms[Hash32(one.id)]),
            "papers": None if one.papers is None else show_papers(one.papers, view.papers),
            "plan": None if one.plan is None else dict(one.plan),
        }
        for one in sorted(waybills, key=lambda one: one.id)
    ]


def _track(evidence: Mapping[str, Any], story: Story) -> dict[str, Any]:
    """The evidence without what the chain or the waybill says better, or nobody can check."""
    trip = evidence["trip_id"]
    commits = {one.event.index for one in story.of(events.TrackCommitted) if one.event.trip == trip}
    batches = sorted(evidence["batches"], key=lambda batch: batch["index"])
    return {
        "terminal": evidence["terminal"],
        "frames": evidence["frames"],
        "batches": [
            [[time, lat, lon] for time, lat, lon, _ in batch["members"]]
            for batch in batches
            if batch["index"] in commits
        ],
        "others": [
            {name: other[name] for name in ("trip_id", "terminal", "opens", "closes", "frames")}
            for other in evidence["others"]
        ],
    }


def _payouts(payouts: Sequence[Told], view: View) -> list[dict[str, Any]]:
    """Orders name people and accounts: most readers get their hashes."""
    return [
        {
            "payout": one.payout,
            "legs": [
                {
                    "leg": leg.leg,
                    "sequence": leg.sequence,
                    "end_to_end_id": leg.end_to_end_id,
                    "account": leg.account,
                    "amount_fen": leg.amount_fen,
                    "order_sha256": None if order is None else hashlib.sha256(order).hexdigest(),
                    "order": order.decode() if order is not None and view.orders else None,
                    "answers": [
                        {
                            "sha256": None if said is None else hashlib.sha256(said).hexdigest(),
                            "answer": said.decode() if said is not None and view.orders else None,
                        }
                        for said in answers
                    ],
                }
                for leg, order, answers in zip(one.legs, one.orders, one.answers, strict=True)
            ],
            "booked": None
            if one.booked is None
            else {
                "reference": one.booked.reference,
                "amount_fen": one.booked.amount_fen,
                "value_day": one.booked.value_day,
            },
        }
        for one in sorted(payouts, key=lambda one: one.payout)
    ]


def _receipts(receipts: Sequence[ReceiptTold], view: View) -> list[dict[str, Any]]:
    return [
        {
            "document": one.document,
            "content": None
            if one.content is None
            else disclose(one.content, one.salt, view.receipts),
        }
        for one in sorted(receipts, key=lambda one: one.document)
    ]


def _ledger(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "id": one.id,
            "book": one.book,
            "kind": one.kind,
            "day": one.day,
            "at": rfc3339(one.at),
            "known": rfc3339(one.known),
            "lines": [[line.account, line.amount, line.about] for line in one.lines],
            "source": one.source,
            "reverses": one.reverses,
        }
        for one in sorted(entries, key=lambda one: (one.at, one.id))
    ]
