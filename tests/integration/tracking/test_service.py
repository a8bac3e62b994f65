"""A recorded drive from the socket to the attestor's word: committed, judged, judged again, attested."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import itertools
import json
import random
from dataclasses import replace

import pytest

from chain.abi import Occurred
from chain.bindings.enums import TripState, Verdict
from chain.bindings.events import DriveAttested, TrackCommitted
from chain.clock import FixedClock, rfc3339
from chain.ids import Address, Hash32, PartyId, TripId
from chain.outbox import SqlOutbox
from chain.ports import Domain
from chain.signers import LocalSigner
from chain.typed_data import recover
from deploy.demo.roads import (
    CORRIDOR_M,
    GATE_RADIUS_M,
    PLACES,
    ROUTE_RUN,
    line_between,
    load_runs,
    planned_line,
    point_at,
)
from tests.integration.tracking.road import PHONE, VEHICLE, Road, drive
from tracking import evidence as ground
from tracking.attestor import Commit, Terms, consider
from tracking.errors import (
    AttestationRefusedError,
    EvidenceEmptyError,
    FixInvalidError,
    TerminalInvalidError,
    TerminalTakenError,
    TerminalUnknownError,
    TripInvalidError,
    TripStateError,
    TripTakenError,
)
from tracking.ingest.replay import Pace, replay
from tracking.instants import instant
from tracking.merkle import verify
from tracking.policy import default_policy
from tracking.repository import SqlRecords
from tracking.service import TrackingService
from tracking.trip import MOVES

TRIP = TripId("0x" + "ab" * 32)
DOMAIN = Domain(31337, Address("0x5FbDB2315678afecb367f032d93F642f64180aa3"))
SIGNER = LocalSigner("0x" + "42" * 32)
ATTESTOR = PartyId(2**63 + 7)
RUNS = load_runs()
FIXES = RUNS["1091"]


def plan_of(loading="D", unloading="E"):
    line = planned_line(RUNS[ROUTE_RUN])
    places = {place.code: place for place in PLACES}
    ends = {}
    for name, code in (("pickup", loading), ("delivery", unloading)):
        lon, lat = point_at(line, places[code].at_m)
        ends[name] = {"lat": lat, "lon": lon, "radius_m": GATE_RADIUS_M}
    road = line_between(line, places[loading].at_m, places[unloading].at_m)
    return {
        "planned_route": [list(point) for point in road],
        "corridor_half_width_m": CORRIDOR_M,
        "terminal": PHONE,
        **ends,
    }


class Desk(Road):
    """A road whose use cases may also write to the chain's outbox."""

    def at(self, work):
        with self.storage.write() as session:
            outbox = SqlOutbox(session, signer=SIGNER.address, clock=self.clock)
            return work(
                TrackingService(records=SqlRecords(session), clock=self.clock, outbox=outbox)
            )

    def queued(self, about=TRIP):
        with self.storage.read() as session:
            outbox = SqlOutbox(session, signer=SIGNER.address, clock=self.clock)
            return [one.key for one in outbox.list_about(about)]

    def seen(self, event):
        block = "0x" + "00" * 32
        return Occurred(
            event,
            "DeliveryRegistry",
            DOMAIN.verifying_contract,
            self.clock.now(),
            1,
            block,
            block,
            0,
        )

    def play(self, fixes, **pace):
        """Plays fixes through the socket; the clock stands at the last one."""
        self.clock.advance_to(dt.datetime.fromtimestamp(fixes[-1].time + 2, dt.UTC))
        self.at(lambda s: s.release_device(PHONE))

        async def main():
            async with self.open():
                await replay(
                    fixes, host="127.0.0.1", port=self.port, phone=PHONE, pace=Pace(**pace)
                )

        asyncio.run(main())

    def open_trip(self, **changes):
        facts = {
            "terminal": PHONE,
            "vehicle": VEHICLE,
            "plan": plan_of(),
            "opens": FIXES[0].time - 600,
            "closes": FIXES[-1].time + 600,
        } | changes
        return self.at(lambda s: s.open_trip(TRIP, **facts))

    def commit(self, *, finish=False):
        return self.at(
            lambda s: s.commit_due(attestor=ATTESTOR, signer=SIGNER, domain=DOMAIN, finish=finish)
        )

    def batches(self):
        with self.storage.read() as session:
            return SqlRecords(session).list_batches(TRIP)

    def confirm_batches(self):
        for batch in self.batches():
            if batch.committed is not None:
                continue
            event = TrackCommitted(
                TRIP, batch.index, batch.root, batch.count, batch.first_time, batch.last_time
            )
            self.at(lambda s, e=event: s.on_track_committed(self.seen(e)))

    def commits(self):
        return {
            b.index: Commit(b.root, b.count, b.first_time, b.last_time, b.committed)
            for b in self.batches()
        }


@pytest.fixture
def desk(empty_storage):
    empty_storage.create_all()
    made = Desk(empty_storage, FixedClock(dt.datetime.fromtimestamp(FIXES[0].time, dt.UTC)))
    made.register(PHONE)
    return made


def terms_of(trip):
    return Terms(trip.version, trip.vehicle, trip.plan_hash, trip.policy_hash)


def judged_drive(desk):
    trip = desk.open_trip()
    desk.at(lambda s: s.on_trip_moved(TRIP, TripState.LOADED))
    for at in range(0, len(FIXES), 10):
        desk.play(FIXES[at : at + 10])
        desk.commit()
    desk.commit(finish=True)
    desk.confirm_batches()
    return trip, desk.at(lambda s: s.judge_trip(TRIP))


def test_a_drive_is_committed_while_it_lasts_judged_and_judged_alike_by_an_attestor(desk):
    trip, verdict = judged_drive(desk)
    batches = desk.batches()
    assert len(batches) >= 3
    assert sum(batch.count for batch in batches) == len(desk.fixes(PHONE))
    assert [batch.index for batch in batches] == list(range(len(batches)))
    assert desk.queued() == [f"track:{TRIP}:{batch.index}" for batch in batches]
    assert verdict.verdict == "pass", verdict.document["findings"]
    assert verdict.late_bps == 0

    document = desk.at(lambda s: s.get_evidence(TRIP))
    word = consider(
        document, trip=TRIP, terms=terms_of(trip), commits=desk.commits(), policy=default_policy()
    )
    form = word.form(attestor=ATTESTOR, expires=2_000_000_000, salt=Hash32("0x" + "01" * 32))
    assert (form.root, form.findings) == (verdict.root, verdict.findings)
    assert (form.verdict, form.late_bps) == (Verdict.PASS, 0)
    assert form.fixes == verdict.document["fixes"]["used"]
    signature = SIGNER.sign_typed_data(form, DOMAIN)
    assert recover(form, DOMAIN, signature) == SIGNER.address

    for _ in range(2):  # the same word twice is one call
        desk.at(lambda s: s.take_attestation(form, signature))
    assert [key for key in desk.queued() if key.startswith("attest:")] == [
        f"attest:{TRIP}:{ATTESTOR}:{form.findings}"
    ]
    event = DriveAttested(
        TRIP, ATTESTOR, Verdict.PASS, form.root, form.policy, form.findings, form.departed_at,
        form.arrived_at, form.distance_m, form.fixes, form.late_bps,
    )  # fmt: skip
    desk.at(lambda s: s.on_attested(desk.seen(event)))
    with desk.storage.read() as session:
        (attestation,) = SqlRecords(session).list_attestations(TRIP)
    assert attestation.attested == int(desk.clock.now().timestamp())
    assert attestation.attestor == ATTESTOR


def test_any_order_batching_and_repetition_gives_the_same_verdict(desk):
    desk.open_trip()
    desk.at(lambda s: s.on_trip_moved(TRIP, TripState.LOADED))
    desk.play(FIXES)
    first = desk.at(lambda s: s.judge_trip(TRIP))
    assert desk.at(lambda s: s.judge_trip(TRIP)) == first
    desk.play(FIXES, batch=25)
    again = desk.at(lambda s: s.judge_trip(TRIP))
    assert (again.root, again.verdict) == (first.root, first.verdict)

    fixes = ground.fixes_of(ground.from_json(desk.at(lambda s: s.get_evidence(TRIP))).recorded)
    evidence = desk.at(lambda s: s.gather_evidence(TRIP))
    frames = list(evidence.recorded.frames)
    random.Random(1).shuffle(frames)
    shuffled = replace(evidence, recorded=replace(evidence.recorded, frames=tuple(frames)))
    assert ground.judge_evidence(shuffled, default_policy()).findings == again.findings
    assert len(fixes) == 2 * len(FIXES)


def test_fixes_from_a_blind_area_go_into_a_later_batch_and_are_marked(desk):
    desk.open_trip()
    desk.at(lambda s: s.on_trip_moved(TRIP, TripState.LOADED))
    third = len(FIXES) // 3
    desk.play(FIXES[:third] + FIXES[2 * third :])
    desk.commit(finish=True)
    before = len(desk.batches())
    desk.play(FIXES[third : 2 * third], batch=30, late=True)
    desk.commit(finish=True)
    later = desk.batches()[before:]
    assert sum(batch.count for batch in later) == third
    assert sum(batch.late_fixes for batch in later) > 0
    assert later[0].first_time < desk.batches()[before - 1].last_time


def test_what_was_not_committed_in_time_is_told(desk):
    desk.open_trip()
    desk.at(lambda s: s.on_trip_moved(TRIP, TripState.LOADED))
    half = len(FIXES) // 2
    desk.play(FIXES[:half])
    desk.commit(finish=True)
    desk.confirm_batches()
    desk.play(FIXES[half:])
    desk.clock.advance_to(desk.clock.now() + dt.timedelta(hours=3))
    desk.commit(finish=True)
    desk.confirm_batches()
    verdict = desk.at(lambda s: s.judge_trip(TRIP))
    assert 2_000 < verdict.late_bps < 8_000


def test_a_committed_fix_is_proved_by_its_batch(desk):
    judged_drive(desk)
    (proof, *_) = desk.at(lambda s: s.prove_fix(TRIP, FIXES[20].time))
    assert verify(proof["root"], tuple(proof["leaf"]), proof["proof"])
    assert proof["leaf"][1:] == [FIXES[20].time, FIXES[20].lat_e6, FIXES[20].lon_e6]
    assert desk.at(lambda s: s.prove_fix(TRIP, 1)) == []


def judged_beside(desk, number, fixes):
    """Another vehicle's trip on the same plan, its positions over HTTP; codes of its findings."""
    trip, phone, vehicle = (
        TripId(f"0x{number:064x}"),
        f"700{number}",
        Hash32(f"0x{number + 1000:064x}"),
    )
    desk.clock.advance_to(dt.datetime.fromtimestamp(fixes[-1].time, dt.UTC))
    desk.register(phone, vehicle=vehicle)
    desk.at(
        lambda s: s.open_trip(
            trip, terminal=phone, vehicle=vehicle, plan=plan_of() | {"terminal": phone},
            opens=fixes[0].time - 600, closes=fixes[-1].time + 600,
        )
    )  # fmt: skip
    desk.at(lambda s: s.take_fixes(phone, fixes))
    verdict = desk.at(lambda s: s.judge_trip(trip))
    return verdict.verdict, {finding["code"] for finding in verdict.document["findings"]}


def test_a_drive_copied_from_an_earlier_trip_is_found_and_an_honest_one_is_not(desk):
    judged_drive(desk)
    honest = RUNS["1089"]
    shift = (FIXES[-1].time - honest[0].time) // 86_400 * 86_400 + 86_400
    later = [fix._replace(time=fix.time + shift) for fix in honest]
    outcome, codes = judged_beside(desk, 1, later)
    assert (outcome, "replay" in codes) == ("pass", False), codes
    copied = [fix._replace(time=fix.time + 9 * 86_400 + 137) for fix in FIXES]
    outcome, codes = judged_beside(desk, 2, copied)
    assert outcome != "pass"
    assert "replay" in codes


def test_an_attestor_refuses_evidence_that_contradicts_the_chain(desk):
    trip, _ = judged_drive(desk)
    document = desk.at(lambda s: s.get_evidence(TRIP))
    terms, commits = terms_of(trip), desk.commits()

    def refused(changed, *, of=terms, held=commits):
        with pytest.raises(AttestationRefusedError) as caught:
            consider(changed, trip=TRIP, terms=of, commits=held, policy=default_policy())
        return caught.value.field

    def changed(work):
        other = copy.deepcopy(document)
        work(other)
        return other

    assert refused(changed(lambda d: d["plan"].update(corridor_half_width_m=5_000))) == "plan"
    assert refused(changed(lambda d: d.update(trip_id="0x" + "00" * 32))) == "trip_id"
    assert refused(document, of=replace(terms, vehicle="0x" + "99" * 32)) == "vehicle"
    assert refused(document, of=replace(terms, policy="0x" + "99" * 32)) == "policy"
    # a frame withheld, a committed fix moved, a batch forgotten, another root on chain
    assert refused(changed(lambda d: d["frames"].pop(10))).startswith("batches[")
    assert (
        refused(changed(lambda d: d["batches"][1]["members"][0].__setitem__(1, 0))) == "batches[1]"
    )
    assert refused(changed(lambda d: d["batches"].pop())).startswith("batches[")
    other = {**commits, 0: replace(commits[0], root=Hash32("0x" + "77" * 32))}
    assert refused(document, held=other) == "batches[0]"
    with pytest.raises(EvidenceEmptyError):
        consider({}, trip=TRIP, terms=terms, commits=commits, policy=default_policy())


def test_an_attestor_checks_what_earlier_trips_show_of_their_batches(desk):
    trip, _ = judged_drive(desk)
    document = desk.at(lambda s: s.get_evidence(TRIP))
    earlier = "0x" + "ee" * 32
    beside = copy.deepcopy({name: document[name] for name in document if name != "others"})
    document["others"] = [beside | {"trip_id": earlier}]
    ask = {
        "trip": TRIP,
        "terms": terms_of(trip),
        "commits": desk.commits(),
        "policy": default_policy(),
    }
    held = {earlier: desk.commits()}
    word = consider(document, **ask, others=held)
    (compared,) = [one for one in word.judged.verdict.findings if one.code == "compared"]
    assert compared.detail["tracks"] == 1
    later = {earlier: {**held[earlier], 99: held[earlier][0]}}  # committed after it was judged
    assert consider(document, **ask, others=later).judged == word.judged
    for change in (
        lambda d: d["frames"].pop(10),
        lambda d: d["batches"][1]["members"][0].__setitem__(1, 0),
    ):
        changed = copy.deepcopy(document)
        change(changed["others"][0])
        with pytest.raises(AttestationRefusedError) as caught:
            consider(changed, **ask, others=held)
        assert caught.value.field.startswith("batches[")
    # Another track to compare with is another finding, so that it cannot be exchanged unseen.
    changed = copy.deepcopy(document)
    changed["others"][0]["frames"].pop(10)
    assert consider(changed, **ask).judged.findings != word.judged.findings


def test_an_attestation_of_other_terms_is_not_queued(desk):
    trip, _ = judged_drive(desk)
    document = desk.at(lambda s: s.get_evidence(TRIP))
    word = consider(
        document, trip=TRIP, terms=terms_of(trip), commits=desk.commits(), policy=default_policy()
    )
    form = word.form(attestor=ATTESTOR, expires=1, salt=Hash32("0x" + "01" * 32))
    for name, value in (("plan", "0x" + "00" * 32), ("vehicle", "0x" + "00" * 32), ("version", 9)):
        other = replace(form, **{name: value})
        with pytest.raises(AttestationRefusedError) as caught:
            desk.at(lambda s, f=other: s.take_attestation(f, b""))
        assert caught.value.field == name


def test_a_trip_without_evidence_is_not_judged(desk):
    desk.open_trip()
    with pytest.raises(EvidenceEmptyError):
        desk.at(lambda s: s.judge_trip(TRIP))
    with pytest.raises(EvidenceEmptyError):
        desk.at(lambda s: s.get_evidence(TRIP))


def test_positions_over_http_are_evidence_like_any_other(desk):
    desk.open_trip()
    fixes = FIXES[:30]
    desk.clock.advance_to(dt.datetime.fromtimestamp(fixes[-1].time, dt.UTC))
    assert desk.at(lambda s: s.take_fixes(PHONE, fixes)) == 30
    assert desk.at(lambda s: s.take_fixes(f"000{PHONE}", fixes)) == 0
    query = f"id={PHONE}&lat=53.4&lon=-2.97&timestamp={fixes[0].time + 1}"
    assert desk.at(lambda s: s.take_osmand(PHONE, query)) == 1
    assert desk.at(lambda s: s.take_osmand(PHONE, query)) == 0
    forwarded = [
        {"position": {"fixTime": rfc3339(instant(fixes[0].time + n)), "latitude": 53.4 + n / 1000,
                      "longitude": -2.97, "speed": 3}, "device": {"uniqueId": phone}}
        for n, phone in ((2, PHONE), (3, "404"), (4, PHONE))
    ]  # fmt: skip
    forwarded.append({"position": {}, "device": {"uniqueId": PHONE}})
    told = desk.at(lambda s: s.take_forwarded(json.dumps(forwarded).encode()))
    assert (told.new, told.taken) == (2, 2)
    assert [one["error"] for one in told.refused] == ["terminal_unknown", "position_missing"]
    for request, reason in (
        (query.replace("timestamp", "when"), "time_missing"),
        (query.replace(PHONE, "5"), None),
    ):
        with pytest.raises(FixInvalidError) as caught:
            desk.at(lambda s, r=request: s.take_osmand(PHONE, r))
        assert caught.value.facts.get("reason") == reason
    evidence = desk.at(lambda s: s.gather_evidence(TRIP))
    assert {f.time for f in ground.fixes_of(evidence.recorded)} == {
        *(f.time for f in fixes), *(fixes[0].time + n for n in (1, 2, 4)),
    }  # fmt: skip
    back = ground.from_json(ground.to_json(evidence))
    assert ground.fixes_of(back.recorded) == ground.fixes_of(evidence.recorded)
    with pytest.raises(TerminalUnknownError):
        desk.at(lambda s: s.take_fixes("404", fixes))


def test_a_terminal_has_one_owner_until_it_is_moved_to_another_vehicle(desk):
    first, second = PartyId(2**64 - 1), PartyId(7)

    def ask(party, vehicle=VEHICLE, *, may_own=True):
        return desk.at(
            lambda s: s.issue_code("555", vehicle, f"code {party}", party=party, may_own=may_own)
        )

    desk.at(lambda s: s.register_terminal("555", VEHICLE))  # the flow's, with no owner
    with pytest.raises(TerminalTakenError, match="waybills of other parties"):
        ask(second, may_own=False)
    assert ask(first).owner == first
    assert ask(first, may_own=False).owner == first
    desk.at(lambda s: s.release_device("555"))
    with pytest.raises(TerminalTakenError, match="another party"):
        ask(second)
    elsewhere = Hash32("0x" + "22" * 32)
    assert desk.at(lambda s: s.move_terminal("555", elsewhere)).owner is None
    with pytest.raises(TerminalTakenError, match="another vehicle"):
        ask(second)
    assert ask(second, elsewhere).owner == second


def test_registering_and_opening_again_change_nothing_and_other_facts_are_refused(desk):
    assert desk.at(lambda s: s.register_terminal(f"0{PHONE}", VEHICLE)).terminal == PHONE
    with pytest.raises(TerminalTakenError):
        desk.at(lambda s: s.register_terminal(PHONE, Hash32("0x" + "22" * 32)))
    for bad in ("", "0", "12 34", "x" * 41, "电话"):
        with pytest.raises(TerminalInvalidError):
            desk.at(lambda s, b=bad: s.register_terminal(b, VEHICLE))
    first = desk.open_trip()
    assert desk.open_trip() == first
    with pytest.raises(TripTakenError):
        desk.open_trip(closes=FIXES[-1].time + 601)
    with pytest.raises(TripInvalidError, match="another vehicle"):
        desk.open_trip(vehicle=Hash32("0x" + "22" * 32))
    with pytest.raises(TripInvalidError, match="other rules"):
        desk.open_trip(policy_hash=Hash32("0x" + "22" * 32))
    with pytest.raises(TerminalUnknownError):
        desk.open_trip(terminal="404")
    with pytest.raises(TripStateError):
        desk.at(lambda s: s.move_terminal(PHONE, Hash32("0x" + "22" * 32)))


@pytest.mark.parametrize(("source", "to"), list(itertools.product(TripState, TripState)))
def test_the_table_of_moves_is_that_of_the_contract(source, to):
    allowed = {
        (TripState.NONE, TripState.OPEN),
        (TripState.OPEN, TripState.LOADED),
        (TripState.OPEN, TripState.VOID),
        (TripState.LOADED, TripState.HELD),
        (TripState.LOADED, TripState.DELIVERED),
        (TripState.LOADED, TripState.VOID),
        (TripState.HELD, TripState.LOADED),
        (TripState.HELD, TripState.VOID),
    }
    assert (to in MOVES[source]) == ((source, to) in allowed)


def test_state_moves_as_the_chain_says_and_not_otherwise(desk):
    desk.open_trip()
    desk.at(lambda s: s.on_trip_moved(TripId("0x" + "00" * 32), TripState.LOADED))  # not ours
    with pytest.raises(TripStateError):
        desk.at(lambda s: s.on_trip_moved(TRIP, TripState.DELIVERED))
    for state in (TripState.LOADED, TripState.LOADED, TripState.HELD, TripState.LOADED):
        desk.at(lambda s, to=state: s.on_trip_moved(TRIP, to))
    desk.at(lambda s: s.on_trip_moved(TRIP, TripState.DELIVERED))
    desk.at(lambda s: s.take_fixes(PHONE, drive(5)))
    assert desk.commit(finish=True) == 0  # nothing is committed after the end
