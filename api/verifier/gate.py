"""The gate: loading, receipt, attestations and completion say one thing, and the consignee's words are those he signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chain.bindings import events, structs
from chain.bindings.enums import Verdict
from chain.document import hash_of_disclosed

if TYPE_CHECKING:
    from api.verifier.report import Section
    from api.verifier.story import Story
    from api.verifier.waybills import Chain
    from chain.ids import TripId


@dataclass(frozen=True, slots=True)
class Papers:
    """What the pack holds of the gate.

    Attributes:
        receipts: what was signed there, by the hash on chain; None if it is not in the pack.
        photos: hashes of the photos in the pack.
    """

    receipts: Any
    photos: set[str]


def check_delivery(
    section: Section, story: Story, chain: Chain, trip: TripId, papers: Papers
) -> None:
    """Loading, receipt, attestations and completion say one thing (promise C)."""
    leaf = chain.leaf
    loaded = next(
        (one.event for one in story.of(events.TripLoaded) if one.event.trip == trip), None
    )
    receipt = next(
        (one.event for one in story.of(events.DeliveryConfirmed) if one.event.trip == trip), None
    )
    done = next(
        (one.event for one in story.of(events.DeliveryCompleted) if one.event.trip == trip), None
    )
    if loaded is None:
        section.unknown("delivery.loading", trip, "not loaded yet")
        return
    if leaf is not None:
        section.require(
            (loaded.vehicle, loaded.quantity) == (leaf.form.vehicle, leaf.quantity),
            "delivery.loading",
            trip,
            "the vehicle and quantity of the waybill were loaded",
            "another vehicle or quantity was loaded than the waybill's",
        )
    if receipt is not None and leaf is not None:
        watch = next(
            (one.event for one in story.of(events.TripWatched) if one.event.trip == trip), None
        )
        allowed = {leaf.form.consignee, getattr(watch, "stand_in", leaf.form.consignee)}
        section.require(
            receipt.by in allowed and receipt.accepted <= loaded.quantity,
            "delivery.receipt",
            f"party {receipt.by}",
            f"the consignee accepted {receipt.accepted} of {loaded.quantity}",
            "the receipt is by another, or for more than was loaded",
        )
    _check_receipts(section, story, trip, papers.receipts)
    _check_photos(section, papers)
    if done is None:
        section.unknown("delivery.completed", trip, "the delivery is not complete")
        return
    words = {
        one.event.attestor: (one.event.verdict, one.event.root)
        for one in story.of(events.DriveAttested)
        if one.event.trip == trip
    }
    agreeing = sorted(
        party for party, (verdict, root) in words.items()
        if root == done.root and verdict in {Verdict.PASS, Verdict.REVIEW}
    )  # fmt: skip
    people = {
        party
        for one in chain.waybills.values()
        for party in (one.form.issuer, one.form.performer, one.form.consignee)
    }
    section.require(
        bool(agreeing) and not people & set(agreeing) and receipt is not None
        and (receipt.accepted, loaded.quantity) == (done.accepted, done.loaded),
        "delivery.completed",
        trip,
        f"receipt and {len(agreeing)} attestors, none a party of the chain, agree",
        "receipt, attestations and completion do not agree",
    )  # fmt: skip


def _check_receipts(section: Section, story: Story, trip: TripId, given: Any) -> None:
    """The consignee's words open the hashes that he signed: a receipt's, or a refusal's."""
    papers = {one["document"]: one["content"] for one in given or ()}
    forms: list[Any] = [
        one.form
        for kind in (structs.Loading, structs.Confirmation, structs.Dispute)
        for one in story.forms(kind)
    ]
    signed = {
        form.reason if isinstance(form, structs.Dispute) else form.document: form
        for form in forms
        if form.trip == trip
    }
    for document in sorted(papers.keys() - signed.keys()):
        section.red("delivery.document", document, "a paper that nobody signed at the gate")
    for document, form in signed.items():
        content = papers.get(document)
        if content is None:
            reason = "its words are not in the pack or erased; their hash stands"
            section.unknown("delivery.document", document, reason)
            continue
        opened = {name: value for name, (value, _) in content["opened"].items()}
        fits = hash_of_disclosed(content) == document and all(
            opened.get(name, value) == value
            for name, value in (
                ("trip", trip),
                ("accepted_milli", getattr(form, "accepted", 0)),
                ("condition", getattr(form, "condition", opened.get("condition"))),
            )
        )
        section.require(
            fits,
            "delivery.document",
            document,
            "the words open the hash that was signed",
            "the words are not those that were signed",
        )
        if content["closed"]:
            withheld = ", ".join(sorted(content["closed"]))
            section.unknown("delivery.withheld", document, f"only digests stand of: {withheld}")


def _check_photos(section: Section, papers: Papers) -> None:
    """Photos and the drawn signature are those whose hashes the receipts name."""
    named: dict[str, str] = {}
    for one in papers.receipts or ():
        opened = one["content"]["opened"] if one["content"] else {}
        pictures = [*opened.get("photos", [[]])[0], *opened.get("drawing_sha256", [""])[:1]]
        named |= {str(picture)[2:]: one["document"] for picture in pictures if picture}
    for photo in sorted(papers.photos - named.keys()):
        section.red("delivery.photo", photo, "no receipt that was signed names this photo")
    for photo, document in named.items():
        if photo in papers.photos:
            section.green("delivery.photo", photo, f"named by the receipt {document}")
        else:
            section.unknown("delivery.photo", photo, "not in the pack, or erased; its hash stands")
