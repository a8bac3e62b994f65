"""Packs of loans that went other ways: paid early, in parts, late, not at all; and the layout they rely on."""

from __future__ import annotations

import base64
import datetime as dt
import json
from dataclasses import replace

import pytest

from api.audit.export import Material, Papers, PartyName, ReceiptTold, write_pack
from api.audit.purpose import Purpose
from api.verifier.report import Mark
from api.verifier.verify import verify_pack
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import Dispute, KeyRotation, Loading, PayoutReceipt, Waybill
from chain.bindings.waybill_registry import WaybillRegistry
from chain.document import document_hash
from chain.ids import TripId
from chain.signers import LocalSigner
from chain.typed_data import struct_hash
from deploy.node import ROOT, LocalChain
from finance.audit import book_of
from finance.forests import PRESENT
from finance.iso20022 import (
    BankAccount,
    PaymentOrder,
    PaymentStatus,
    write_order,
    write_status,
)
from finance.payout_ports import EntryState, HeldEntry
from finance.payout_service import Told
from finance.payouts import Leg, end_to_end_id, payment_sequence, uetr_of
from tests.integration.api.layouts import FILE, layouts
from tests.integration.finance.town import FAR, FIRST_BLOCK, ZERO, Town, Trip, word


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("town")
    with LocalChain(folder / "node", first_block_at=FIRST_BLOCK, keep_state=False) as chain:
        made = Town(chain, f"sqlite:///{folder}/yundan.sqlite", folder / "deployments")
        made.enrol()
        made.fund(9_000_000)
        made.line = made.open_line()
        yield made
        made.storage.close()
        made.client.close()


def order(sequence, amount):
    """The bank's order as the product writes it."""
    at = dt.datetime(2026, 1, 28, tzinfo=dt.UTC)
    return write_order(
        PaymentOrder(
            end_to_end_id=end_to_end_id(sequence),
            uetr=uetr_of(sequence),
            payer=BankAccount("存管", "1001", "102100099996"),
            payee=BankAccount("司机", "2002", "102100099996"),
            amount_fen=amount,
            created_at=at,
            execution_day=at.date(),
            remittance="freight",
        )
    )


def answer(sequence, amount, code="ACSC"):
    """The bank's answer to it."""
    at = dt.datetime(2026, 1, 28, tzinfo=dt.UTC)
    return write_status(PaymentStatus("A-1", end_to_end_id(sequence), code, at, amount_fen=amount))


def booking(sequence, value_day):
    at = dt.datetime(2026, 1, 28, tzinfo=dt.UTC)
    return HeldEntry(
        reference="B-1", amount_fen=500_000, is_credit=False, is_reversal=False, value_day=value_day,
        booked_at=at, taken_at=at, end_to_end_id=end_to_end_id(sequence), remittance="", content="",
        state=EntryState.PAID,
    )  # fmt: skip


def exported(town, trip, path, advance=None, payouts=None, *, receipts=(), purpose=Purpose.LENDER):
    """The pack of a trip whose papers and frames nobody keeps."""

    def entries(story):
        found = town.books(lambda b: b.list_entries_of({one.transaction for one in story.events}))
        lender = book_of(town.parties["lender"])
        if advance is not None:
            found += [
                entry
                for entry in town.books(lambda b: list(b.list_entries(lender, about=advance)))
                if not entry.source
            ]
        return found

    decided = None
    if advance is not None:
        decision = town.books(lambda b: b.find_decision(b.find_advance(advance).decision))
        decided = json.loads(decision.decision.record)
    material = Material(
        trip=trip.trip,
        waybills=[Papers(one, None, None) for one in trip.waybills],
        names=lambda parties: [PartyName(one, "", None, None) for one in parties],
        entries=entries,
        decisions=[decided] if decided else [],
        payouts=None if payouts is None else lambda _: payouts,
        receipts=receipts,
        forests=[json.loads((ROOT / "finance" / "forests" / PRESENT).read_text())],
    )
    return write_pack(town.client, material, path, purpose=purpose)


def verified(done):
    report = verify_pack(done.path, trust=[done.anchor_hash])
    assert report.reds == [], report.to_text()
    assert report.verified
    return report


def reasons(report, code):
    return [check.reason for check in report.checks if check.code == code]


def test_charges_waived_interest_deferred_and_a_loan_extended(town, tmp_path):
    trip, advance = town.released(town.line)
    today = int((town.now() + 8 * 3600) // 86_400)
    town.act(advance, 3, today + 2)
    town.later(days=20)
    town.act(advance, 5, 300)
    town.act(advance, 6, today + 200)
    town.later(days=150)
    town.repay(advance, 100_000)
    assert not town.refused, town.refused
    verified(exported(town, trip, tmp_path / "p.zip", advance))


def test_a_loan_repaid_early_in_two_parts(town, tmp_path):
    trip, advance = town.released(town.line)
    town.later(days=10)
    town.repay(advance, 200_000)
    town.later(days=7)
    town.pay_debtor(trip, 900_000, reference="early")
    report = verified(exported(town, trip, tmp_path / "p.zip", advance))
    assert len(reasons(report, "advance.repaid")) == 2
    assert "repaid: drawn 500000, outstanding 0 fen" in reasons(report, "advance.replay")
    (decision,) = reasons(report, "decision")
    assert "byte for byte" in decision


def test_a_payout_that_the_bank_paid_once(town, tmp_path):
    trip, advance = town.released(town.line)
    (payee,) = town.look(lambda s: s.show_advance(advance)).payees
    sequence = payment_sequence(payee.payout, 1)
    form = PayoutReceipt(payee.payout, sequence, 20_481)
    both = [town.sign(name, form, "SettlementToken") for name in ("bank_one", "bank_two")]
    town.send(SettlementToken.confirm_payout(form, *both))
    assert not town.refused, town.refused

    def check(
        *, amount=500_000, value_day=20_481, number=1, account=trip.account, said=500_000,
        answered=500_000, code="ACSC", purpose=Purpose.LENDER,
    ):  # fmt: skip
        seq = payment_sequence(payee.payout, number)
        leg = Leg(
            payee.payout, 1, seq, end_to_end_id(seq), account, amount, b"sealed",
            dt.datetime(2026, 1, 28, tzinfo=dt.UTC),
        )  # fmt: skip
        answers = (answer(seq, answered, code),)
        told = Told(payee.payout, (leg,), (order(seq, said),), (answers,), booking(seq, value_day))
        done = exported(town, trip, tmp_path / "p.zip", advance, [told], purpose=purpose)
        return verify_pack(done.path, trust=[done.anchor_hash])

    honest = check()
    assert honest.verified, honest.to_text()
    assert reasons(honest, "payout.paid") == [
        "500000 fen booked by the bank on day 20481, burned on its word"
    ]
    assert {c.code for c in check(value_day=20_482).reds} == {"payout.paid"}
    assert {c.code for c in check(amount=1).reds} == {"payout.legs"}
    assert {c.code for c in check(account=town.number()).reds} == {"payout.legs"}
    assert {c.code for c in check(number=2).reds} == {"payout.legs", "payout.paid"}
    court = check(purpose=Purpose.COURT)
    assert reasons(court, "payout.order") == [
        f"the order is for 500000 fen under {end_to_end_id(sequence)}"
    ]
    assert reasons(court, "payout.answer") == [
        f"the bank answered ACSC to {end_to_end_id(sequence)}"
    ]
    assert {c.code for c in check(purpose=Purpose.COURT, said=1).reds} == {"payout.order"}
    for odd in ({"answered": 1}, {"code": "RJCT"}):
        assert {c.code for c in check(purpose=Purpose.COURT, **odd).reds} == {"payout.answer"}


def test_a_loan_still_running(town, tmp_path):
    trip, advance = town.released(town.line)
    report = verified(exported(town, trip, tmp_path / "p.zip", advance))
    assert "released: drawn 500000, outstanding 500000 fen" in reasons(report, "advance.replay")
    assert {c.code for c in report.checks if c.mark is Mark.UNKNOWN} >= {"waybill.erased"}


def test_a_shortage_cuts_what_was_released(town, tmp_path):
    trip = town.issue_trip()
    advance = town.ask(town.line, trip, 500_000)
    town.agree(advance)
    town.approve(advance)
    town.drive(trip, accepted=29_800)
    report = verified(exported(town, trip, tmp_path / "p.zip", advance))
    assert any("29800 of 30000" in one for one in reasons(report, "delivery.receipt"))


def test_a_disputed_trip_holds_its_release(town, tmp_path):
    trip = town.issue_trip()
    advance = town.ask(town.line, trip, 500_000)
    town.agree(advance)
    town.approve(advance)
    at = town.now() - 10
    loading = Loading(
        trip.trip, 1, trip.vehicle, trip.quantity, at, town.number(), FAR, town.number()
    )
    town.send(DeliveryRegistry.load(loading, town.sign("driver", loading, "DeliveryRegistry")))
    dispute = Dispute(trip.trip, town.parties["consignee"], town.number(), FAR, town.number())
    town.send(
        DeliveryRegistry.dispute(dispute, town.sign("consignee", dispute, "DeliveryRegistry"))
    )
    assert not town.refused, town.refused
    report = verified(exported(town, trip, tmp_path / "p.zip", advance))
    assert reasons(report, "delivery.completed") == ["the delivery is not complete"]
    assert f"trip {trip.trip}" in {c.about for c in report.checks if c.code == "state.record"}


def test_the_words_of_a_refusal_open_the_hash_that_was_signed(town, tmp_path):
    trip, salt = town.issue_trip(), b"\x07" * 32
    at = town.now() - 10
    loading = Loading(
        trip.trip, 1, trip.vehicle, trip.quantity, at, town.number(), FAR, town.number()
    )
    town.send(DeliveryRegistry.load(loading, town.sign("driver", loading, "DeliveryRegistry")))
    content = {"trip": trip.trip, "outcome": "refused", "note": "wet", "signer": "王"}
    reason = document_hash(content, salt)
    dispute = Dispute(trip.trip, town.parties["consignee"], reason, FAR, town.number())
    town.send(
        DeliveryRegistry.dispute(dispute, town.sign("consignee", dispute, "DeliveryRegistry"))
    )
    assert not town.refused, town.refused

    def check(receipts, **more):
        done = exported(town, trip, tmp_path / "p.zip", receipts=receipts, **more)
        return verify_pack(done.path, trust=[done.anchor_hash])

    honest = [ReceiptTold(reason, content, salt)]
    whole = verified(exported(town, trip, tmp_path / "p.zip", receipts=honest))
    assert "the words open the hash that was signed" in reasons(whole, "delivery.document")
    assert {c.code for c in check([ReceiptTold(reason, content | {"note": "dry"}, salt)]).reds} == {
        "delivery.document"
    }
    assert {c.code for c in check([*honest, ReceiptTold(word(5), {}, salt)]).reds} == {
        "delivery.document"
    }
    erased = check([ReceiptTold(reason, None, salt)])
    gone = "its words are not in the pack or erased; their hash stands"
    assert (erased.reds, set(reasons(erased, "delivery.document"))) == ([], {gone})
    png = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    )
    assert {c.code for c in check([ReceiptTold(reason, content, salt, [png])]).reds} == {
        "delivery.photo"
    }
    shown = check(honest, purpose=Purpose.AUDITOR)
    assert reasons(shown, "delivery.withheld") == ["only digests stand of: note, signer"]


def test_a_trip_that_nobody_financed(town, tmp_path):
    trip = town.issue_trip()
    report = verified(exported(town, trip, tmp_path / "p.zip"))
    assert reasons(report, "delivery.loading") == ["not loaded yet"]


def test_two_trips_under_one_parent_issued_in_one_batch(town, tmp_path):
    start, note = town.now(), town.number()

    def form(parent, issuer, performer, freight, trip=ZERO):
        leaf = trip != ZERO
        return Waybill(
            parent, town.parties[issuer], town.parties[performer], town.parties["consignee"], note,
            trip, town.number() if leaf else ZERO, freight, 1_000, start - 60, start + 864_000, 45,
            town.number() if leaf else ZERO, word(7) if leaf else ZERO, town.number(), FAR,
            town.number(),
        )  # fmt: skip

    root = replace(form(ZERO, "consignor", "carrier", 1_000_000), quantity=2_000)
    leaves = [
        form(struct_hash(root), "carrier", "driver", freight, TripId(town.number()))
        for freight in (400_000, 500_000)
    ]
    forms, sides = [root, *leaves], ["consignor", "carrier", "carrier"]
    issuers = [town.sign(n, f, "WaybillRegistry") for n, f in zip(sides, forms, strict=True)]
    performers = [
        town.sign(n, f, "WaybillRegistry")
        for n, f in zip(["carrier", "driver", "driver"], forms, strict=True)
    ]
    town.send(WaybillRegistry.issue_batch(forms, issuers, performers, True))  # noqa: FBT003  the signature is not ours to change
    assert not town.refused, town.refused
    ids = [struct_hash(one) for one in forms]
    trip = Trip(leaves[0].trip, (ids[0], ids[1]), 400_000, 1_000, leaves[0].vehicle, word(77))
    report = verified(exported(town, trip, tmp_path / "p.zip"))
    children = [c.reason for c in report.checks if c.code == "waybill.children"]
    assert "its children come to 900000 of 1000000 fen" in children
    assert len(reasons(report, "waybill.closure")) == 2


def test_a_party_that_changed_its_key_between_its_signatures(town, tmp_path):
    trip = town.issue_trip()
    driver, new = town.parties["driver"], LocalSigner(b"\x66" * 32)
    form = KeyRotation(driver, new.address, FAR, town.number())
    domain = town.client.domain("PartyRegistry")
    town.send(
        PartyRegistry.rotate_key(
            form, town.sign("driver", form, "PartyRegistry"), new.sign_typed_data(form, domain)
        )
    )
    town.keys["driver"] = new
    town.drive(trip)
    assert not town.refused, town.refused
    report = verified(exported(town, trip, tmp_path / "p.zip"))
    (history,) = [
        c for c in report.checks if c.about == f"party {driver}" and c.code == "keys.history"
    ]
    assert "1 changes" in history.reason


def test_a_loan_in_default_and_written_off_with_a_late_recovery(town, tmp_path):
    trip, advance = town.released(town.line)
    town.later(days=70)
    town.act(advance, 1)
    assert not town.refused, town.refused
    verified(exported(town, trip, tmp_path / "default.zip", advance))
    town.later(days=40)
    town.act(advance, 2)
    verified(exported(town, trip, tmp_path / "off.zip", advance))
    town.later(days=5)
    town.pay_debtor(trip, 900_000, reference="late")
    assert not town.refused, town.refused
    report = verified(exported(town, trip, tmp_path / "recovered.zip", advance))
    assert "repaid: drawn 500000, outstanding 0 fen" in reasons(report, "advance.replay")


def test_the_layouts_are_those_of_the_compiler():
    assert json.loads(FILE.read_text("utf-8")) == layouts(), (
        "the contracts' storage has changed: python -m tests.integration.api.layouts"
    )
