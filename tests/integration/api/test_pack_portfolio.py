"""A portfolio: many packs in one file under one trusted hash, and what a forger does to it."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
import zipfile

import pytest
import rfc8785

from api import startup
from api.audit.portfolio import Selection, export_portfolio, select_trips
from api.verifier import portfolio as portfolios
from api.verifier.report import Report
from api.verifier.verify import Trust
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import AdvanceId, PartyId
from deploy import cli
from tests.integration.api.test_day import BEGIN, cast, day  # noqa: F401  fixtures


@pytest.fixture(scope="module")
def whole(system, cast, day, tmp_path_factory):  # noqa: F811  a fixture taken by its name
    """The portfolio of the lender of a day."""
    lender = PartyId(int(cast["lender"].party))
    path = tmp_path_factory.mktemp("portfolio") / "all.zip"
    return export_portfolio(system.container, Selection(lender=lender), path)


def read(path, trust):
    """Every report of a portfolio, the one on the file itself first."""
    head = Report(path.name)
    opened = portfolios.open_portfolio(path, head, trust)
    if opened is None:
        return [head]
    return [
        head,
        *portfolios.verify_portfolio(opened, trust, anchored=head.anchored, workers=1),
    ]


def forged(whole, tmp_path, change):
    """The portfolio with its entries changed; ``change`` takes and alters a dict of them."""
    with zipfile.ZipFile(whole.path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    path = tmp_path / "forged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


def reds(reports):
    return {check.code for report in reports for check in report.reds}


def test_one_trusted_hash_vouches_for_every_pack(whole):
    head, *rest = read(whole.path, Trust((whole.anchor_hash,)))
    assert head.anchored
    assert len(rest) == whole.packs >= 1
    assert all(report.verified for report in rest), [report.reds for report in rest]
    summary = portfolios.Summary()
    for report in rest:
        summary.add(report)
    assert (summary.exit_code, summary.delivered, summary.loans) == (0, 1, 1)
    assert summary.drawn_fen > 0


def test_without_trust_or_under_a_foreign_hash_nothing_is_green(whole):
    head, *rest = read(whole.path, Trust())
    assert (head.anchored, {one.exit_code for one in rest}) == (False, {3})
    head = read(whole.path, Trust(("0x" + "11" * 32,)))[0]
    assert {check.code for check in head.reds} == {"chain.trust"}


def test_the_auditors_node_vouches_once_for_all(system, whole):
    head, *rest = read(whole.path, Trust(rpc=system.chain.url))
    assert head.anchored
    assert all(report.verified for report in rest)


def test_a_pack_is_found_by_loan_borrower_and_day(system, cast, day):  # noqa: F811  a fixture taken by its name
    def chosen(**words):
        return list(select_trips(system.container, Selection(**words)))

    trip, loan = day["trip"], AdvanceId(day["advance"])
    borrower = PartyId(int(cast["haulier"].party))
    loaded = (BEGIN + dt.timedelta(hours=8)).date()
    late = loaded + dt.timedelta(days=1)
    assert chosen(loan=loan) == chosen(borrower=borrower) == [trip]
    assert chosen(since=loaded, until=loaded) == [trip]
    assert chosen(borrower=borrower, until=loaded) == [trip]
    assert chosen(since=late) == chosen(borrower=borrower, since=late) == []
    assert chosen(borrower=PartyId(7)) == []
    with pytest.raises(NotFoundError, match="no such loan"):
        chosen(loan=AdvanceId("0x" + "12" * 32))
    with pytest.raises(InvalidValueError, match="name a trip"):
        chosen()


def test_nothing_is_written_where_nothing_is_selected(system, tmp_path):
    with pytest.raises(NotFoundError, match="no trip fits"):
        export_portfolio(system.container, Selection(borrower=PartyId(7)), tmp_path / "p.zip")
    assert list(tmp_path.iterdir()) == []


def _relist(entries):
    """What a careful forger does after he altered a pack: index and claims fit it again."""
    rows = [json.loads(line) for line in entries[portfolios.INDEX].splitlines()]
    for row in rows:
        data = entries[f"packs/{row['trip_id']}.zip"]
        row |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    entries[portfolios.INDEX] = b"".join(rfc8785.dumps(row) + b"\n" for row in rows)
    claims = json.loads(entries[portfolios.CLAIMS])
    claims["index_sha256"] = hashlib.sha256(entries[portfolios.INDEX]).hexdigest()
    entries[portfolios.CLAIMS] = rfc8785.dumps(claims)


def _pack_name(entries):
    return next(name for name in entries if name.startswith("packs/"))


def _flip(data, at=-1):
    altered = bytearray(data)
    altered[at] ^= 1
    return bytes(altered)


def _flip_pack(entries):
    name = _pack_name(entries)
    entries[name] = _flip(entries[name], len(entries[name]) // 2)


def _claim(**changed):
    def change(entries):
        claims = json.loads(entries[portfolios.CLAIMS]) | changed
        entries[portfolios.CLAIMS] = rfc8785.dumps(claims)

    return change


def _rename(entries):
    name = _pack_name(entries)
    entries["packs/0x" + "12" * 32 + ".zip"] = entries.pop(name)
    row = json.loads(entries[portfolios.INDEX].splitlines()[0])
    entries[portfolios.INDEX] = rfc8785.dumps(row | {"trip_id": "0x" + "12" * 32}) + b"\n"
    _relist(entries)


def _careful_flip(entries):
    _flip_pack(entries)
    _relist(entries)


FORGERIES = {
    "pack altered": (_flip_pack, "portfolio.pack"),
    "pack altered, index rewritten": (_careful_flip, "pack.structure.refused"),
    "pack under another trip": (_rename, "portfolio.pack"),
    "pack left out": (lambda e: e.pop(_pack_name(e)), "portfolio.structure"),
    "pack added": (lambda e: e.update({"packs/0x" + "12" * 32 + ".zip": b""}), "portfolio.structure"),
    "index altered": (lambda e: e.update({portfolios.INDEX: e[portfolios.INDEX] * 2}), "portfolio.structure"),
    "header altered": (lambda e: e.update({"headers/00000000.rlp": _flip(e["headers/00000000.rlp"])}), "portfolio.structure"),
    "headers left out": (lambda e: e.pop("headers/00000000.rlp"), "portfolio.structure"),
    "anchor": (_claim(anchor_hash="0x" + "12" * 32), "portfolio.structure"),
    "anchor height": (_claim(anchor=3), "portfolio.structure"),
    "form": (_claim(form="yundan-portfolio-2"), "portfolio.structure"),
    "other contracts": (_claim(contracts={}), "portfolio.pack"),
    "other chain": (_claim(chain_id=1), "portfolio.pack"),
    "path": (lambda e: e.update({"../evil": b""}), "portfolio.structure"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_portfolio_is_found_by_what_was_altered(whole, tmp_path, name):
    change, code = FORGERIES[name]
    reports = read(forged(whole, tmp_path, change), Trust((whole.anchor_hash,)))
    assert code in reds(reports), reports[0].to_text()


def test_deflated_entries_and_duplicates_are_refused(whole, tmp_path):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(portfolios.CLAIMS, bytes(1 << 20))
    (head,) = read(path, Trust())
    assert "stored, not deflated" in head.reds[0].reason


def test_the_commands_write_and_check_it_and_list_the_exceptions(
    system, whole, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(startup, "load_settings", lambda: system.settings)
    out, table = tmp_path / "p.zip", tmp_path / "odd.csv"
    with zipfile.ZipFile(whole.path) as archive:
        lender = json.loads(archive.read(portfolios.CLAIMS))["selection"]["lender"]
    assert cli.main(["audit", "export", "--lender", lender, "-o", str(out)]) == 0
    assert f"{whole.packs} packs" in capsys.readouterr().out
    assert cli.main(["audit", "verify", str(out), "--trust", whole.anchor_hash]) == 0
    told = capsys.readouterr().out
    assert f"{whole.packs} of {whole.packs} packs are green" in told
    assert "1 loans drew" in told
    bad = forged(whole, tmp_path, _flip_pack)
    arguments = [str(bad), "--trust", whole.anchor_hash, "--exceptions", str(table)]
    assert cli.main(["audit", "verify", *arguments]) == 1
    with table.open(encoding="utf-8-sig") as rows:
        (row,) = csv.DictReader(rows)
    assert row["code"] == "portfolio.pack"
    assert cli.main(["audit", "export", "--since", "yesterday", "-o", str(out)]) == 2
    assert "a day is written" in capsys.readouterr().err
    assert cli.main(["audit", "export", "-o", str(out)]) == 2
