"""A pack issued again after a person was erased: it verifies, and names what is gone."""

from __future__ import annotations

import zipfile

from api.audit.export import export_trip
from api.privacy.persons import Subject
from api.verifier import pack as packs
from api.verifier.report import Mark
from api.verifier.verify import verify_pack
from chain.ids import PartyId
from tests.integration.api.test_day import cast, day  # noqa: F401  fixtures


def unknown(done):
    report = verify_pack(done.path, trust=[done.anchor_hash])
    assert report.verified, report.reds
    return {(c.code, c.reason) for c in report.checks if c.mark is Mark.UNKNOWN}


def shown(done, name):
    with zipfile.ZipFile(done.path) as archive:
        return archive.read(name).decode()


def test_the_pack_of_an_erased_driver_names_what_is_gone(system, cast, day, tmp_path):  # noqa: F811  a fixture taken by its name
    before = export_trip(system.container, day["trip"], tmp_path / "before.zip")
    assert "parties.erased" not in {code for code, _ in unknown(before)}
    assert "苏A" in shown(before, packs.WAYBILLS)
    with system.container.write() as services:
        services.persons.erase(Subject("", PartyId(int(cast["driver"].party))), "test")
    after = export_trip(system.container, day["trip"], tmp_path / "after.zip")
    assert unknown(after) >= {
        ("waybill.erased", "erased, only digests stand: plate, terminal"),
        ("parties.erased", "its name is erased; its hash stands"),
    }
    assert "苏A" not in shown(after, packs.WAYBILLS)
    assert "driver公司" not in shown(after, packs.PARTIES)
    assert "carrier公司" in shown(after, packs.PARTIES)
