"""The lender pack of a real day: green as it is, and red wherever a forger has been."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import random
import struct
import zipfile
from contextlib import redirect_stdout

import pytest
import rfc8785

from api import startup
from api.audit.export import export_trip, seal_manifest
from api.audit.paper import maker, render_paper
from api.audit.purpose import Purpose
from api.flow import LATENESS_S
from api.verifier import pack as packs
from api.verifier import road
from api.verifier.reading import Reading
from api.verifier.report import Mark
from api.verifier.verify import Paper, verify_pack
from chain.bindings.freight_settlement import FreightSettlement
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import MintReceipt
from chain.ids import Hash32, PartyId
from deploy import cli
from deploy.node import LocalChain
from tests.integration.api.forger import Forger, codes, random_alteration
from tests.integration.api.system import FIRST_BLOCK, WITNESS_ONE, key
from tests.integration.api.test_day import BEGIN, cast, day  # noqa: F401  fixtures


@pytest.fixture(scope="module")
def pack(system, cast, day, tmp_path_factory):  # noqa: F811  a fixture taken by its name
    """The pack of a trip that was delivered, paid, and repaid after 45 days."""
    system.later(BEGIN + dt.timedelta(days=45))
    waybill = day["ids"]["t1"]
    account = system.container.client.fetch(FreightSettlement.collection_account(waybill))
    receipt = MintReceipt(Hash32("0x" + "b2" * 32), account, 104_000, 20_490)
    domain = system.container.client.domain("SettlementToken")
    signatures = [key(name).sign_typed_data(receipt, domain) for name in ("bank one", "bank two")]
    system.send(SettlementToken.mint(receipt, *signatures), "freight")
    cast["carrier"].post(f"/v1/waybills/{waybill}/settlements", {"reference": "BANK-1"})
    system.settle()
    folder = tmp_path_factory.mktemp("pack")
    done = export_trip(system.container, day["trip"], folder / "pack.zip")
    return Forger(done.path, done.anchor_hash, folder)


# -- as it is --------------------------------------------------------------------------------------


def test_the_pack_is_green_with_one_trusted_hash_and_no_network(pack):
    report = verify_pack(pack.path, trust=[pack.anchor], paper=Paper(maker(), render_paper))
    assert report.reds == []
    assert (report.verified, report.exit_code) == (True, 0)
    found = {check.code for check in report.checks if check.mark is Mark.GREEN}
    assert found >= {
        "seal", "page", "paper", "chain.anchor", "chain.inclusion", "chain.trust", "keys.history",
        "signature", "waybill.closure", "waybill.document", "waybill.plan", "road.root",
        "road.frames", "road.verdict", "road.attestation", "delivery.completed", "advance.paid",
        "advance.repaid", "settlement", "decision", "ledger.events", "ledger.accrual",
        "state.code", "state.record",
    }  # fmt: skip
    unknown = {check.code for check in report.checks if check.mark is Mark.UNKNOWN}
    assert unknown == {
        "chain.contracts", "payout.paid",
    }  # fmt: skip


def test_the_same_record_gives_the_same_bytes(system, day, pack, tmp_path):  # noqa: F811  a fixture taken by its name
    again = export_trip(system.container, day["trip"], tmp_path / "pack.zip")
    assert again.path.read_bytes() == pack.path.read_bytes()


def test_without_a_root_of_trust_it_says_so(pack):
    report = verify_pack(pack.path)
    assert (report.reds, report.exit_code) == ([], 3)
    (check,) = [check for check in report.checks if check.code == "chain.trust"]
    assert check.mark is Mark.UNKNOWN
    assert pack.anchor in check.reason


def test_a_hash_of_another_chain_is_red(pack):
    report = verify_pack(pack.path, trust=["0x" + "11" * 32])
    assert codes(report) == {"chain.trust"}


def test_an_early_block_vouches_for_nothing_after_it(pack):
    reading = Reading.of(pack.pack())
    reading.read_chain()
    early = reading.headers[min(reading.headers)]
    report = verify_pack(pack.path, trust=[early.hash])
    assert report.exit_code == 3


def test_the_auditors_own_node_vouches_and_another_chain_does_not(system, pack, tmp_path):
    assert verify_pack(pack.path, rpc=system.chain.url).exit_code == 0
    with LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK, keep_state=False) as other:
        report = verify_pack(pack.path, rpc=other.url)
    assert "chain.node" in codes(report)
    assert report.exit_code == 1


def test_the_contracts_are_compared_with_those_agreed_on(system, pack, tmp_path):
    known = system.settings.deployments / f"{system.chain.chain_id}.json"
    report = verify_pack(pack.path, trust=[pack.anchor], deployment=known)
    assert "chain.contracts" not in {c.code for c in report.checks if c.mark is not Mark.GREEN}
    body = json.loads(known.read_text())
    body["contracts"]["FreightAdvance"]["address"] = "0x" + "11" * 20
    other = tmp_path / "other.json"
    other.write_text(json.dumps(body))
    report = verify_pack(pack.path, trust=[pack.anchor], deployment=other)
    assert codes(report) == {"chain.contracts"}


def test_the_command_prints_a_tree_and_json_and_tells_by_its_exit_code(pack):
    def run(*arguments):
        out = io.StringIO()
        with redirect_stdout(out):
            code = cli.main(["audit", "verify", str(pack.path), *arguments])
        return code, out.getvalue()

    code, text = run("--trust", pack.anchor)
    assert code == 0
    assert text.splitlines()[-1] == "└─ GREEN: everything checked holds"
    code, text = run("--json")
    assert code == 3
    assert json.loads(text)["counts"]["red"] == 0
    assert cli.main(["audit", "verify", "no-such-file.zip"]) == 2


def test_the_command_writes_the_pack_and_says_how_to_verify_it(system, pack, monkeypatch, capsys):
    monkeypatch.setattr(startup, "load_settings", lambda: system.settings)
    out, trip = pack.folder / "by hand.zip", pack.value(packs.MANIFEST)["trip_id"]
    assert cli.main(["audit", "export", trip, "-o", str(out)]) == 0
    told = capsys.readouterr().out
    with zipfile.ZipFile(out) as archive:
        assert {n: archive.read(n) for n in archive.namelist()} == pack.files
    assert f"--trust {pack.anchor}" in told
    assert cli.main(["audit", "export", "0x" + "12" * 32, "-o", str(out)]) == 2
    assert "no such trip" in capsys.readouterr().err


def test_many_packs_are_checked_side_by_side_and_only_the_others_told(pack, capsys):
    broken = pack.folder / "broken.zip"
    broken.write_bytes(pack.path.read_bytes()[:-5])
    paths = [str(pack.path)] * 3 + [str(broken), str(pack.folder / "missing.zip")]
    assert cli.main(["audit", "verify", *paths, "--trust", pack.anchor]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "3 of 5 packs are green"
    assert told[-2].startswith("3 delivered; 3 loans drew ¥")
    assert [line.split(":")[0] for line in told[:-2]] == ["broken.zip", "missing.zip"]
    assert cli.main(["audit", "verify", *paths[:2]]) == 3


def test_the_verifier_reads_the_window_as_the_platform_does():
    assert road.LATENESS_S == LATENESS_S


# -- for a purpose ----------------------------------------------------------------------------------


def test_an_auditor_sees_no_plate_and_no_names_of_people(system, day, tmp_path):  # noqa: F811  a fixture taken by its name
    done = export_trip(
        system.container, day["trip"], tmp_path / "pack.zip", purpose=Purpose.AUDITOR
    )
    report = verify_pack(done.path, trust=[done.anchor_hash])
    assert report.verified, report.reds
    assert {check.code for check in report.checks} >= {"waybill.withheld", "waybill.document"}
    with zipfile.ZipFile(done.path) as archive:
        shown = archive.read(packs.WAYBILLS).decode() + archive.read(packs.PARTIES).decode()
    assert "苏A" not in shown
    assert "driver公司" not in shown
    assert "carrier公司" in shown


# -- for people ------------------------------------------------------------------------------------


def test_the_pdf_is_made_again_byte_for_byte_and_an_altered_one_is_found(pack):
    paper = Paper(maker(), render_paper)
    assert pack.files[packs.PAPER].startswith(b"%PDF-1.7")
    forged = pack.careful({packs.PAPER: pack.files[packs.PAPER].replace(b"/Type", b"/type", 1)})
    assert codes(forged) == {"seal"}
    report = verify_pack(pack.folder / "forged.zip", trust=[pack.anchor], paper=paper)
    assert codes(report) == {"seal", "paper"}


def test_a_check_without_a_maker_of_pdfs_says_that_it_did_not_look(pack):
    report = verify_pack(pack.path, trust=[pack.anchor])
    (check,) = [check for check in report.checks if check.code == "paper"]
    assert (check.mark, report.verified) == (Mark.UNKNOWN, True)
    assert "page.html says the same" in check.reason


# -- erased ----------------------------------------------------------------------------------------


def test_a_pack_without_its_personal_data_still_verifies_and_names_what_is_erased(pack):
    waybills, parties = pack.value(packs.WAYBILLS), pack.value(packs.PARTIES)
    for one in waybills:
        one["papers"] = one["plan"] = None
    for one in parties:
        one["names"] = None
    report = pack.careful(
        {
            packs.WAYBILLS: rfc8785.dumps(waybills),
            packs.PARTIES: rfc8785.dumps(parties),
            packs.TRACK: None,
            packs.SEAL: None,
            packs.PAGE: None,
            packs.PAPER: None,
        }
    )
    assert report.reds == []
    assert report.verified
    unknown = {check.code for check in report.checks if check.mark is Mark.UNKNOWN}
    assert unknown >= {"waybill.erased", "waybill.plan", "parties.erased", "road.erased", "seal"}


# -- forged ----------------------------------------------------------------------------------------


def _swap_in_frame(track, change):
    """Changes the fixes of a frame that came as JSON."""
    source, received, data = track["frames"][1]
    fixes = json.loads(base64.b64decode(data))
    change(fixes)
    track["frames"][1] = [source, received, base64.b64encode(rfc8785.dumps(fixes)).decode()]


def _first(rows, kind):
    return next(row for row in rows if row["kind"] == kind)


def _scale(entry, factor):
    for line in entry["lines"]:
        line[1] *= factor


FORGERIES = {
    # documents
    "goods": (packs.WAYBILLS, lambda v: v[0]["papers"]["opened"]["goods"].__setitem__(0, "黄金"), "waybill.document"),
    "salt": (packs.WAYBILLS, lambda v: v[0]["papers"]["opened"]["goods"].__setitem__(1, "0x" + "00" * 32), "waybill.document"),
    "field left out": (packs.WAYBILLS, lambda v: v[0]["papers"]["opened"].pop("goods") and None, "waybill.document"),
    "field closed under another digest": (packs.WAYBILLS, lambda v: v[0]["papers"].update(closed={"goods": v[0]["papers"]["opened"].pop("goods")[1]}), "waybill.document"),
    "freight shown": (packs.WAYBILLS, lambda v: v[0]["form"].update(freight=1), "waybill.terms"),
    "plan": (packs.WAYBILLS, lambda v: next(o for o in v if o["plan"])["plan"].update(corridor_half_width_m=9_000), "waybill.plan"),
    "a waybill left out": (packs.WAYBILLS, lambda v: v[1:], "waybill.papers"),
    "a waybill twice": (packs.WAYBILLS, lambda v: [*v, v[0]], "waybill.papers"),
    "party": (packs.PARTIES, lambda v: v[0].update(id="7"), "parties.listed"),
    "party name": (packs.PARTIES, lambda v: v[0]["names"]["opened"]["name_en"].__setitem__(0, "Somebody Else"), "seal"),
    # the road
    "fix moved": (packs.TRACK, lambda v: _swap_in_frame(v, lambda f: f[0].update(lat_e6=f[0]["lat_e6"] + 9)), "road.frames"),
    "fix dropped": (packs.TRACK, lambda v: _swap_in_frame(v, lambda f: f.pop(3)), "road.frames"),
    "fix invented": (packs.TRACK, lambda v: _swap_in_frame(v, lambda f: f.append(f[-1] | {"time": f[-1]["time"] + 1})), "road.verdict"),
    "fix later": (packs.TRACK, lambda v: _swap_in_frame(v, lambda f: f[0].update(time=f[0]["time"] + 1)), "road.frames"),
    "frame dropped": (packs.TRACK, lambda v: v["frames"].pop(0) and None, "road.frames"),
    "terminal": (packs.TRACK, lambda v: v.update(terminal="1"), "road"),
    "committed fix": (packs.TRACK, lambda v: v["batches"][2][0].__setitem__(1, 1), "road.root"),
    "order of fixes": (packs.TRACK, lambda v: v["batches"][2].reverse(), "road.root"),
    "order of batches": (packs.TRACK, lambda v: v["batches"].reverse(), "road.root"),
    "batch dropped": (packs.TRACK, lambda v: v["batches"].pop() and None, "road.batches"),
    "verdict": (packs.VERDICT, lambda v: v.update(verdict="fail"), "road.verdict"),
    "distance": (packs.VERDICT, lambda v: v.update(distance_m=v["distance_m"] + 1), "road.verdict"),
    "root": (packs.VERDICT, lambda v: v.update(trajectory_root="0x" + "12" * 32), "road.verdict"),
    # decision
    "decision input": (packs.DECISIONS, lambda v: v[0]["inputs"].update(limit_fen=1), "decision"),
    "decision verdict": (packs.DECISIONS, lambda v: v[0].update(verdict="APPROVE", score=0), "decision"),
    "rules": (packs.FORESTS, lambda v: v[0].update(review_at=99), "decision.rules"),
    # books
    "amount, balanced": (packs.LEDGER, lambda v: _scale(_first(v, "DISBURSEMENT"), 2), "ledger.unfounded"),
    "amount, unbalanced": (packs.LEDGER, lambda v: _first(v, "DISBURSEMENT")["lines"][0].__setitem__(1, 5), "ledger.entry"),
    "accrual": (packs.LEDGER, lambda v: _scale(_first(v, "ACCRUAL"), 2), "ledger.accrual"),
    "entry left out": (packs.LEDGER, lambda v: [e for e in v if e["kind"] != "REPAYMENT"], "ledger.missing"),
    "entry twice": (packs.LEDGER, lambda v: [*v, v[0]], "ledger.ids"),
    "entry invented": (packs.LEDGER, lambda v: [*v, _first(v, "DISBURSEMENT") | {"id": "new"}], "ledger.unfounded"),
    "business day": (packs.LEDGER, lambda v: _first(v, "REPAYMENT").update(day=20_000), "ledger.date"),
    "date": (packs.LEDGER, lambda v: _first(v, "REPAYMENT").update(at="2026-01-01T00:00:00Z"), "ledger.date"),
    "account": (packs.LEDGER, lambda v: _first(v, "REPAYMENT")["lines"][0].__setitem__(0, "suspense"), "ledger.missing"),
    "source": (packs.LEDGER, lambda v: _first(v, "REPAYMENT").update(source="0x" + "12" * 32), "ledger.missing"),
    # the chain
    "header left out": (packs.HEADERS, lambda v: [*v[:20], *v[21:]], "chain.trust"),
    "headers swapped": (packs.HEADERS, lambda v: [v[1], v[0], *v[2:]], "chain.refused"),
    "last header left out": (packs.HEADERS, lambda v: v[:-1], "chain"),
    "header field": (packs.HEADERS, lambda v: v.__setitem__(3, v[3][:100] + ("1" if v[3][100] != "1" else "2") + v[3][101:]), "chain.refused"),
    "proof node left out": (packs.BLOCKS, lambda v: v[5]["nodes"].pop() and None, "chain.refused"),
    "proof node added": (packs.BLOCKS, lambda v: v[5]["nodes"].append("0xc0"), "chain.refused"),
    "proof node altered": (packs.BLOCKS, lambda v: v[5]["nodes"].__setitem__(0, v[5]["nodes"][0][:-2] + "fe"), "chain.refused"),
    "proof of another block": (packs.BLOCKS, lambda v: v[5].update(nodes=v[6]["nodes"]), "chain.refused"),
    "block number": (packs.BLOCKS, lambda v: v[5].update(number=v[5]["number"] + 1), "chain.refused"),
    "transaction left out": (packs.BLOCKS, lambda v: v[:-1], "state.record"),
    "attestation left out": (packs.BLOCKS, None, "state.record"),
    "state node": (packs.STATE, lambda v: v["nodes"].__setitem__(0, v["nodes"][0][:-2] + "fe"), "state.refused"),
    "state node added": (packs.STATE, lambda v: v["nodes"].append("0xc0"), "state.refused"),
    "state record left out": (packs.STATE, lambda v: v["records"].pop() and None, "state.refused"),
    "state of another block": (packs.STATE, lambda v: v.update(block=v["block"] - 1), "state.block"),
    # who stands by it
    "seal": (packs.SEAL, lambda v: v.update(party="102"), "seal"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_careful_forger_is_found_by_what_he_altered(pack, name):
    file, alter, code = FORGERIES[name]
    if alter is None:
        alter = lambda v: [b for b in v if b["number"] != _block_of_attestation(pack)]  # noqa: E731  short enough to stand here
    report = pack.altered(file, alter)
    assert report.exit_code == 1
    found = {check.code for check in report.checks if check.mark is not Mark.GREEN}
    assert any(one == code or one.startswith(f"{code}.") for one in found), found


def _block_of_attestation(pack):
    from chain.bindings.events import DriveAttested

    reading = Reading.of(pack.pack())
    reading.read_chain()
    return reading.story.of(DriveAttested)[0].place[0]


@pytest.mark.parametrize("name", [n for n in packs.ORDER if n != packs.PAYOUTS])
def test_a_careless_forger_is_found_by_the_file_he_altered(pack, name):
    data = bytearray(pack.files[name])
    data[len(data) // 2] ^= 1
    report = pack.careless(name, bytes(data))
    assert report.exit_code == 1
    named = {check.about for check in report.reds} | {check.code for check in report.reds}
    # A manifest altered in the hash of a file accuses that file, before any seal is read.
    accused = {*packs.ORDER} if name == packs.MANIFEST else {name}
    assert named & {*accused, "seal", "seal.refused"}, report.reds


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"trip_id": "0x" + "12" * 32}, "waybill.leaf"),
        ({"chain_id": 1}, "chain.refused"),
        ({"anchor": 3}, "chain.anchor"),
        ({"anchor_hash": "0x" + "12" * 32}, "chain.anchor"),
        ({"form": "yundan-pack-2"}, "pack.structure.refused"),
        ({"contracts": {}}, "state.refused"),
    ],
)
def test_a_forged_manifest_is_found(pack, change, code):
    assert code in codes(pack.careful({}, **change))


def test_contracts_that_change_places_or_code_are_found(pack):
    contracts = pack.value(packs.MANIFEST)["contracts"]
    one, two = contracts["WaybillRegistry"], contracts["DeliveryRegistry"]
    swapped = contracts | {"WaybillRegistry": two, "DeliveryRegistry": one}
    assert codes(pack.careful({}, contracts=swapped)) & {"waybill.leaf", "signature"}
    other = contracts | {"WaybillRegistry": one | {"code_hash": "0x" + "12" * 32}}
    assert "state.code" in codes(pack.careful({}, contracts=other))


def test_policy_page_and_hidden_parts_are_found(pack):
    rules = pack.files[packs.POLICY].decode()
    policy = pack.careful({packs.POLICY: rules.replace("_m = ", "_m = 1", 1).encode()})
    assert codes(policy) & {"road.policy", "road.refused"}
    page = pack.files[packs.PAGE].replace(b"864.00", b"999.00", 1)
    assert "page" in codes(pack.careful({packs.PAGE: page}))
    for name in packs.Pack.NEEDED:
        assert codes(pack.careful({name: None})) == {"pack.structure.refused"}


def test_a_pack_sealed_by_another_key_is_found(pack):
    reading = Reading.of(pack.pack())
    body = pack.files[packs.MANIFEST]
    forged = seal_manifest(body, PartyId(WITNESS_ONE), key("nobody"), domain=reading.domains)
    report = pack.check(pack.write(pack.files | {packs.SEAL: forged}))
    assert codes(report) == {"seal"}


# -- the zip itself --------------------------------------------------------------------------------


def _zip(path, entries, **more):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            info = zipfile.ZipInfo(name, more.get("time", packs.ZIP_TIME))
            info.compress_type = more.get("method", zipfile.ZIP_DEFLATED)
            info.external_attr = packs.ZIP_MODE
            archive.writestr(info, data)
        archive.comment = more.get("comment", b"")


@pytest.mark.parametrize("name", ["../evil.json", "/etc/passwd", "a/b.json", "extra.json", "C:x"])
def test_other_file_names_are_refused(pack, tmp_path, name):
    _zip(tmp_path / "p.zip", [*pack.files.items(), (name, b"{}")])
    report = pack.check(tmp_path / "p.zip")
    assert codes(report) == {"pack.structure.refused"}
    assert report.reds[0].about == "file name"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_names_other_order_and_other_forms_are_refused(pack, tmp_path):
    path, files = tmp_path / "p.zip", list(pack.files.items())
    for entries, more, about in (
        ([*files, files[-1]], {}, "file name"),
        (files[::-1], {}, "file order"),
        (files, {"comment": b"hidden"}, "zip"),
        (files, {"time": (2026, 1, 1, 0, 0, 0)}, "manifest.json"),
        (files, {"method": zipfile.ZIP_STORED}, "manifest.json"),
    ):
        _zip(path, entries, **more)
        report = pack.check(path)
        assert [(check.code, check.about) for check in report.reds] == [
            ("pack.structure.refused", about)
        ]


def test_bytes_before_after_and_between_are_refused(pack, tmp_path):
    whole = pack.path.read_bytes()
    for forged in (b"x" + whole, whole + b"x", whole[:-22] + b"x" + whole[-22:], whole[:-30], b""):
        (tmp_path / "p.zip").write_bytes(forged)
        assert pack.check(tmp_path / "p.zip").exit_code == 1


def test_bombs_are_refused_before_they_burst(pack, tmp_path):
    path = tmp_path / "p.zip"
    _zip(path, [("manifest.json", bytes(packs.MOST_FILE_BYTES + 1))])
    assert pack.check(path).reds[0].about == "size"
    lying = bytearray(pack.path.read_bytes())
    at = lying.rindex(b"PK\1\2")
    lying[at + 24 : at + 28] = struct.pack("<L", 1 << 31)
    path.write_bytes(lying)
    assert pack.check(path).exit_code == 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 30 + b"]" * 30,
        b"[1" + b"0" * 5_000 + b"]",
        b'{"a":1,"a":2}',
        b"[NaN]",
        b"[1e999]",
        b"[ 1]",
        b"\xff\xfe",
        b"[10000000000000000]",
    ],
    ids=["unclosed", "deep", "huge", "twice", "nan", "infinite", "space", "bytes", "past 2^53"],
)
def test_hostile_json_is_refused(pack, body):
    report = pack.careful({packs.STATE: body, packs.WAYBILLS: body})
    assert codes(report) >= {"state.refused", "waybills.refused"}


def _flip(pack, place, bit, tmp_path):
    data = bytearray(pack.path.read_bytes())
    data[place] ^= 1 << bit
    path = tmp_path / "flipped.zip"
    path.write_bytes(data)
    report = pack.check(path)
    if report.reds:
        return True
    # The last bits of a deflate stream may mean nothing: then every file is still the same.
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == pack.files
    return False


def test_single_bits_anywhere_in_the_file_are_found(pack, tmp_path):
    dice, size = random.Random(9), pack.path.stat().st_size
    found = [_flip(pack, dice.randrange(size), dice.randrange(8), tmp_path) for _ in range(60)]
    assert sum(found) >= 58


def _alter_at_random(pack, dice):
    names = [n for n in pack.files if n.endswith(".json") and n not in {packs.MANIFEST, packs.SEAL}]
    name = dice.choice(names)
    value, where = random_alteration(pack.value(name), dice)
    data = rfc8785.dumps(value)
    if data == pack.files[name]:
        return
    careless = pack.careless(name, data)
    assert [check.about for check in careless.reds] == [name], (name, where)
    careful = pack.careful({name: data})
    assert "seal" in codes(careful), (name, where, careful.reds)


def test_random_alterations_are_found_and_named(pack):
    dice = random.Random(20260126)
    for _ in range(12):
        _alter_at_random(pack, dice)


@pytest.mark.deep
def test_two_thousand_alterations_are_found_and_named(pack, tmp_path):
    dice, size = random.Random(7), pack.path.stat().st_size
    for _ in range(1_100):
        _alter_at_random(pack, dice)
    found = [_flip(pack, dice.randrange(size), dice.randrange(8), tmp_path) for _ in range(1_000)]
    assert sum(found) >= 980
