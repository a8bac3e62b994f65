"""Packs of loans that went other ways: paid early, in parts, late, not at all; and the layout they rely on."""

from __future__ import annotations

import json

import pytest
import solcx

from api.audit.export import Material, Papers, PartyName, write_pack
from api.verifier.report import Mark
from api.verifier.state import LAYOUTS
from api.verifier.verify import verify_pack
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.structs import Dispute, KeyRotation, Loading
from chain.compiler import read_settings
from chain.signers import LocalSigner
from deploy.node import ROOT, LocalChain
from finance.audit import book_of
from finance.forests import PRESENT
from tests.integration.finance.town import FAR, FIRST_BLOCK, Town


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


def exported(town, trip, path, advance=None):
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
        forests=[json.loads((ROOT / "finance" / "forests" / PRESENT).read_text())],
    )
    return write_pack(town.client, material, path)


def verified(done):
    report = verify_pack(done.path, trust=[done.anchor_hash])
    assert report.reds == [], report.to_text()
    assert report.verified
    return report


def reasons(report, code):
    return [check.reason for check in report.checks if check.code == code]


def test_charges_waived_and_interest_deferred(town, tmp_path):
    trip, advance = town.released(town.line)
    today = int((town.now() + 8 * 3600) // 86_400)
    town.act(advance, 3, today + 2)
    town.later(days=20)
    town.act(advance, 5, 300)
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


def test_a_trip_that_nobody_financed(town, tmp_path):
    trip = town.issue_trip()
    report = verified(exported(town, trip, tmp_path / "p.zip"))
    assert reasons(report, "delivery.loading") == ["not loaded yet"]


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
    sources = {
        path.relative_to(ROOT).as_posix(): {"content": path.read_text()}
        for path in sorted((ROOT / "contracts").rglob("*.sol"))
    }
    settings = read_settings(ROOT)
    settings["outputSelection"] = {path: {"*": ["storageLayout"]} for path in sources}
    order = {"language": "Solidity", "sources": sources, "settings": settings}
    out = solcx.compile_standard(order, solc_binary=ROOT / "chain" / "solc-npm")["contracts"]
    mappings = {
        "party": "_parties", "waybill": "_waybills", "trip": "_trips", "witnesses": "_witnesses",
        "loan": "_loans", "advance": "_advances", "advance of trip": "_advanceOf",
    }  # fmt: skip
    assert mappings.keys() == LAYOUTS.keys()
    for kind, layout in LAYOUTS.items():
        told = out[f"contracts/{layout.contract}.sol"][layout.contract]["storageLayout"]
        (held,) = [one for one in told["storage"] if one["label"] == mappings[kind]]
        assert int(held["slot"]) == layout.slot, kind
        value = told["types"][told["types"][held["type"]]["value"]]
        if "members" not in value:
            continue
        assert int(value["numberOfBytes"]) == 32 * layout.words, kind
        fields = _fields(value, told["types"])
        assert {name: fields[name] for name in layout.fields} == dict(layout.fields), kind


def _fields(struct, types, base=0):
    found = {}
    for one in struct["members"]:
        kind, slot = types[one["type"]], base + int(one["slot"])
        found[one["label"]] = (slot, one["offset"], int(kind["numberOfBytes"]))
        found |= _fields(kind, types, slot) if "members" in kind else {}
    return found
