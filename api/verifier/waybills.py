"""The chain of waybills: does it close, and are the papers those that were signed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chain.abi import json_value
from chain.bindings import events, structs
from chain.document import hash_of_disclosed
from chain.errors import YundanError
from chain.ids import TripId, WaybillId
from chain.typed_data import struct_hash
from chain.waybill import ZERO, HeldWaybill, Stage, check_closure
from tracking.evidence import plan_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.verifier.report import Section
    from api.verifier.story import Story


@dataclass(frozen=True, slots=True)
class Chain:
    """The waybills of a trip, root first, as they stand after all amendments.

    Attributes:
        waybills: by id, in the order of issue.
        plan: the leaf's plan, None where it is not in the pack or not the signed one.
    """

    waybills: Mapping[WaybillId, HeldWaybill]
    leaf: HeldWaybill | None
    plan: Mapping[str, Any] | None

    def ancestors(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybills above one, its parent first."""
        found = []
        at = self.waybills[waybill].form.parent
        while at != ZERO and at in self.waybills:
            found.append(self.waybills[at])
            at = found[-1].form.parent
        return found


def check_waybills(section: Section, story: Story, given: Any, trip: TripId) -> Chain:
    """Replays issue and amendment, checking closure at each step; compares papers with signed hashes."""
    held: dict[WaybillId, HeldWaybill] = {}
    chain = Chain(held, None, None)
    forms: dict[str, Any] = {
        struct_hash(one.form): one.form for one in story.forms(structs.Waybill)
    }
    changes = {
        (one.form.waybill, one.form.version + 1): one.form  # type: ignore[attr-defined]  # an Amendment has both
        for one in story.forms(structs.Amendment)
    }
    own = _own(forms, trip)
    for one in story.events:
        event = one.event
        if getattr(event, "waybill", None) not in own:
            continue  # another trip's, in a transaction that also concerns this one
        if isinstance(event, events.WaybillIssued):
            form: Any = forms.get(event.waybill)
            if form is None:
                section.red("waybill.form", event.waybill, "issued, but its signed form is missing")
                continue
            _check_issue(section, chain, event, form)
        elif isinstance(event, events.WaybillAmended) and event.waybill in held:
            form = changes.get((event.waybill, event.version))
            if form is None:
                section.red("waybill.form", event.waybill, "amended, but the form is missing")
                continue
            before = held[event.waybill]
            held[event.waybill] = replace(
                before,
                version=event.version,
                freight=event.freight,
                quantity=event.quantity,
                vehicle=event.vehicle,
                form=replace(
                    before.form,
                    freight=form.freight,
                    quantity=form.quantity,
                    load_from=form.load_from,
                    deliver_by=form.deliver_by,
                    vehicle=form.vehicle,
                    plan=form.plan,
                    document=form.document,
                ),
            )
        elif isinstance(event, events.WaybillCancelled):
            held.pop(event.waybill, None)
    leaf = next((one for one in held.values() if one.form.trip == trip), None)
    section.require(
        leaf is not None, "waybill.leaf", trip, "its leaf is in the pack", "no leaf names this trip"
    )
    if leaf is not None:
        chain = Chain(held, leaf, None)
        above = [leaf, *chain.ancestors(leaf.id)]
        whole = above[-1].form.parent == ZERO and len(above) == len(held)
        section.require(
            whole,
            "waybill.chain",
            f"{len(above)} tiers",
            "from the driver's waybill up to the root, none missing, none foreign",
            "the waybills do not make one chain from the leaf to a root",
        )
    plan = _check_papers(section, held, forms, given, leaf)
    return Chain(held, leaf, plan)


def _own(forms: Mapping[str, Any], trip: TripId) -> set[str]:
    """The waybills that name the trip, and all above them."""
    found: set[str] = set()
    at = [wid for wid, form in forms.items() if form.trip == trip]
    while at:
        wid = at.pop()
        if wid in forms and wid not in found:
            found.add(wid)
            at.append(forms[wid].parent)
    return found


def _check_issue(
    section: Section, chain: Chain, event: events.WaybillIssued, form: structs.Waybill
) -> None:
    wid = WaybillId(event.waybill)
    said = (event.issuer, event.performer, event.consignee, event.freight, event.quantity)
    signed = (form.issuer, form.performer, form.consignee, form.freight, form.quantity)
    waybill = HeldWaybill(
        id=wid,
        form=form,
        root=wid,
        tier=event.tier,
        stage=Stage.ISSUED,
        papers={},
        declared=event.declared,
        freight=form.freight,
        quantity=form.quantity,
        vehicle=form.vehicle if form.trip != ZERO else None,
    )
    chain.waybills[wid] = waybill  # type: ignore[index]  # being built here
    ancestors = chain.ancestors(wid)
    try:
        check_closure(form, ancestors, [])
    except YundanError as error:
        section.red("waybill.closure", wid, str(error))
        return
    section.require(
        said == signed and event.tier == len(ancestors) and event.parent == form.parent,
        "waybill.closure",
        wid,
        f"tier {event.tier}: {form.freight} fen, closes with what stands above",
        "the chain announced other terms than were signed",
    )


def _check_papers(
    section: Section,
    held: Mapping[WaybillId, HeldWaybill],
    signed: Mapping[Any, Any],
    given: Any,
    leaf: HeldWaybill | None,
) -> Mapping[str, Any] | None:
    plan = None
    listed = {one["id"]: one for one in given}
    section.require(
        listed.keys() == held.keys() and len(listed) == len(given),
        "waybill.papers",
        "waybills.json",
        "papers of these waybills and no others",
        "the papers are of other waybills than the chain's",
    )
    for wid, waybill in held.items():
        one = listed.get(wid)
        if one is None:
            continue
        section.require(
            one["form"] == json_value(signed[wid]),
            "waybill.terms",
            wid,
            "the terms shown are those that were signed",
            "the terms shown are not those that were signed",
        )
        if one["papers"] is None:
            section.unknown("waybill.erased", wid, "its papers are erased; their hash stands")
        elif waybill.version > 1 and waybill.form.document != signed[wid].document:
            section.unknown("waybill.document", wid, "amended since; the papers are the first ones")
        else:
            section.require(
                hash_of_disclosed(one["papers"]) == waybill.form.document,
                "waybill.document",
                wid,
                "the papers open the hash that both sides signed",
                "the papers are not those that were signed",
            )
            erased = sorted(one["papers"]["erased"])
            closed = sorted(one["papers"]["closed"].keys() - set(erased))
            for code, names in (("waybill.erased", erased), ("waybill.withheld", closed)):
                if names:
                    word = code.rsplit(".", 1)[1]
                    section.unknown(code, wid, f"{word}, only digests stand: {', '.join(names)}")
        if leaf is not None and wid == leaf.id:
            if one["plan"] is None:
                section.unknown("waybill.plan", wid, "its plan is erased; its hash stands")
            elif section.require(
                plan_hash(one["plan"]) == leaf.form.plan,
                "waybill.plan",
                wid,
                "road, gates and windows are those that were signed",
                "the plan is not the one that was signed",
            ):
                plan = one["plan"]
    return plan
