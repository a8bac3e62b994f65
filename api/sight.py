"""Who is concerned by an object, whatever its kind: those alone may see what is filed about it."""

from __future__ import annotations

from api.auth import Caller
from api.object_ids import About
from api.ports import Services
from api.waybill_forms import parties_of
from chain.errors import NotFoundError
from chain.ids import AdvanceId, LineId, PartyId, TripId, WaybillId


def concerned_by(services: Services, about: About) -> set[PartyId]:
    """Every party that an object concerns; empty where there is no such object."""
    if about.kind == "party":
        party = services.records.find_party(PartyId(int(about.id)))
        return set() if party is None else {party.id}
    if about.kind == "waybill":
        path = services.records.list_ancestors(WaybillId(about.id))
        return {side for one in path for side in parties_of(one)}
    if about.kind == "line":
        line = services.books.find_line(LineId(about.id))
        return set() if line is None else {line.lender, line.borrower}
    if about.kind == "advance":
        return _of_advance(services, AdvanceId(about.id))
    return _of_trip(services, TripId(about.id))


def _of_advance(services: Services, advance: AdvanceId) -> set[PartyId]:
    record = services.books.find_advance(advance)
    if record is None:
        return set()
    waybill = services.records.find_waybill(record.waybill)
    debtor = set() if waybill is None else {waybill.form.issuer}
    payees = services.books.list_payees([advance])[advance]
    return {record.lender, record.borrower, *debtor, *(payee.party for payee in payees)}


def _of_trip(services: Services, trip: TripId) -> set[PartyId]:
    leaf = services.records.find_leaf(trip)
    if leaf is None:
        return set()
    path = services.records.list_ancestors(leaf.id)
    parties = {side for one in path for side in parties_of(one)}
    advance = services.books.find_advance_of_trip(trip)
    return parties if advance is None else parties | {advance.lender}


def require_sight(services: Services, about: About, caller: Caller) -> set[PartyId]:
    """Passes a caller whom an object concerns, and gives everyone whom it concerns.

    Raises:
        NotFoundError: there is none, or it is none of his business.
    """
    concerned = concerned_by(services, about)
    if not concerned:
        raise NotFoundError(f"there is no such {about.kind}")
    caller.require_sight(concerned, about.kind)
    return concerned
