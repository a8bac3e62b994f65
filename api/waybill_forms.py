"""From a firm's draft to the form that both sides sign, and back to what people read."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any, Protocol

from api.auth import Caller
from api.naming import Names
from api.planned_routes import PlannedRoutes
from api.schemas.signing import TypedData
from api.schemas.waybills import WaybillDraft, WaybillShown
from chain.bindings.structs import Waybill
from chain.clock import rfc3339
from chain.document import SALT, document_hash, words_of
from chain.ids import Hash32, PartyId, TripId, WaybillId
from chain.ports import Domain
from chain.service import Registry
from chain.waybill import ZERO, HeldWaybill, Stage
from tracking.evidence import plan_hash
from tracking.plan import Plan
from tracking.policy import default_policy

SIGNING_TIME = dt.timedelta(days=14)


def parties_of(waybill: HeldWaybill) -> set[PartyId]:
    """Who may see a waybill because he stands in it."""
    return {waybill.form.issuer, waybill.form.performer, waybill.form.consignee}


class DraftDesk(Protocol):
    """What drafts need of a transaction, or of the rows of a file that are not written yet."""

    @property
    def records(self) -> DraftRecords:
        """Where waybills above a draft are found."""
        ...

    @property
    def registry(self) -> Registry:
        """The rules."""
        ...

    @property
    def routes(self) -> PlannedRoutes:
        """Planned routes by name."""
        ...


class DraftRecords(Protocol):
    """Where waybills above a draft are found."""

    def list_ancestors(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybill itself first, then upwards to its root."""
        ...


class Drafts:
    """Takes drafts for one caller in one transaction.

    Args:
        services: the transaction.
        names: the platform's keyed hashes.
        caller: who submits; a side of the waybill or of one above it.
        now: the present.
    """

    def __init__(self, services: DraftDesk, names: Names, caller: Caller, now: dt.datetime) -> None:
        self._services = services
        self._names = names
        self._caller = caller
        self._now = now
        self._plans: dict[str, tuple[dict[str, Any], str, str]] = {}

    def take(self, draft: WaybillDraft) -> HeldWaybill:
        """Drafts one waybill.

        Raises:
            YundanError: names the field.
        """
        self._require_standing(draft)
        papers: dict[str, Any] = {
            "shipping_note": draft.shipping_note,
            "goods": draft.goods,
            "unit": draft.unit,
        }
        plan: dict[str, Any] | None = None
        trip, vehicle, plan_digest, policy = TripId(ZERO), Hash32(ZERO), Hash32(ZERO), Hash32(ZERO)
        if draft.is_leaf:
            plan, papers["origin"], papers["destination"] = self._plan(draft)
            papers |= {"serial": draft.serial, "plate": draft.plate, "terminal": draft.terminal}
            trip = self._names.trip(draft.shipping_note, str(draft.serial))
            vehicle = self._names.vehicle(str(draft.plate))
            plan_digest, policy = plan_hash(plan), default_policy().policy_hash
        salt = secrets.token_bytes(32)
        form = Waybill(
            parent=WaybillId(draft.parent or ZERO),
            issuer=PartyId(int(draft.issuer)),
            performer=PartyId(int(draft.performer)),
            consignee=PartyId(int(draft.consignee)),
            shipping_note=self._names.shipping_note(draft.shipping_note),
            trip=trip,
            vehicle=vehicle,
            freight=draft.freight_fen,
            quantity=draft.quantity_milli,
            load_from=_seconds(draft.load_from),
            deliver_by=_seconds(draft.deliver_by),
            term_days=draft.term_days,
            plan=plan_digest,
            policy=policy,
            document=document_hash(papers, salt),
            expires=_seconds(draft.sign_by or self._now + SIGNING_TIME),
            salt=Hash32("0x" + secrets.token_hex(32)),
        )
        kept = papers | {SALT: "0x" + salt.hex()}
        return self._services.registry.draft_waybill(form, kept, plan=plan, declared=draft.declared)

    def _require_standing(self, draft: WaybillDraft) -> None:
        """A draft may come from a side of it or of a waybill above: nobody else may take up a number."""
        own = {PartyId(int(draft.issuer)), PartyId(int(draft.performer))}
        if self._caller.may_see(own):
            return
        above = (
            self._services.records.list_ancestors(WaybillId(draft.parent)) if draft.parent else []
        )
        sides = {side for one in above for side in (one.form.issuer, one.form.performer)}
        if not self._caller.may_see(sides):
            self._caller.require_party(PartyId(int(draft.issuer)), "issuer")

    def _plan(self, draft: WaybillDraft) -> tuple[dict[str, Any], str, str]:
        name = str(draft.route)
        if name not in self._plans:
            route = self._services.routes.get(self._caller.require_self(), name)
            self._plans[name] = (dict(route.plan), route.origin, route.destination)
        base, origin, destination = self._plans[name]
        window = {
            "opens_utc": rfc3339(draft.load_from),
            "closes_utc": rfc3339(draft.deliver_by),
        }
        plan = Plan.from_json(
            base
            | {
                "pickup": base["pickup"] | window,
                "delivery": base["delivery"] | window,
                "planned_start_utc": rfc3339(draft.load_from),
                "terminal": draft.terminal,
            }
        )
        return plan.to_json(), origin, destination


def show_waybill(
    waybill: HeldWaybill,
    *,
    domain: Domain | None,
    caller: Caller,
    expanded: dict[str, Any] | None = None,
) -> WaybillShown:
    """A waybill as a caller sees it; what he is to sign is with it when ``domain`` is given."""
    form = waybill.form
    signs = waybill.stage is Stage.DRAFT and caller.party_id in waybill.missing
    papers = words_of(waybill.papers)
    return WaybillShown(
        id=waybill.id,
        parent=None if form.parent == ZERO else form.parent,
        root=waybill.root,
        tier=waybill.tier,
        stage=waybill.stage.value,
        issuer=str(form.issuer),
        performer=str(form.performer),
        consignee=str(form.consignee),
        trip=form.trip if waybill.is_leaf else None,
        papers=papers,
        freight_fen=waybill.freight,
        paid_fen=waybill.paid,
        credited_fen=waybill.credited,
        quantity_milli=waybill.quantity,
        accepted_milli=waybill.accepted,
        version=waybill.version,
        load_from=_instant(form.load_from),
        deliver_by=_instant(form.deliver_by),
        sign_by=_instant(form.expires),
        term_days=form.term_days,
        declared=waybill.declared,
        waits_for=[str(party) for party in waybill.missing],
        refusal=waybill.refusal,
        to_sign=TypedData.of(form, domain) if domain is not None and signs else None,
        expanded=expanded,
    )


def _seconds(at: dt.datetime) -> int:
    return int(at.timestamp())


def _instant(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
