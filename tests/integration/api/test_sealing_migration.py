"""Rows from before the sealing migration are sealed by it, and opened again on the way down."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
import sqlmodel

from chain.sealing import KeyringMissingError
from deploy.migrate import migrate, unmigrate
from tracking.tables import TrackEvidenceRow

DRIVE = b"a drive, packed"


def test_rows_from_before_are_sealed_and_come_back(empty_storage):
    storage = empty_storage
    migrate(storage, "bulk_jobs")
    papers = {"plate": "沪A·12345", "shipping_note": "YD1"}
    with storage.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO party (party_id, name_zh, name_en, kind, stage, profile)"
                " VALUES ('7', '张师傅', 'Driver Zhang', 'driver', 'registered', '0x')"
            )
        )
        connection.execute(
            sa.text(
                "INSERT INTO waybill (waybill_id, root_id, tier, issuer, performer, consignee, form,"
                " papers, stage, declared, version, freight, quantity, paid, credited, accepted, refusal)"
                " VALUES ('0x1', '0x1', 0, '1', '7', '3', '{}', :papers, 'paid', false, 1, 1, 1, 0, 0, 0, '')"
            ),
            {"papers": json.dumps(papers)},
        )
        connection.execute(
            sa.text("INSERT INTO track_evidence (trip, document) VALUES ('0x2', :drive)"),
            {"drive": DRIVE},
        )
    migrate(storage)
    with storage.engine.begin() as connection:
        raw = connection.execute(sa.text("SELECT name_zh FROM party")).scalar_one()
        assert "张师傅".encode() not in bytes(raw)
        raw = connection.execute(sa.text("SELECT document FROM track_evidence")).scalar_one()
        assert DRIVE not in bytes(raw)
    with storage.read() as session:
        from chain.tables import PartyRow, WaybillRow

        assert session.get(PartyRow, "7").name_zh == "张师傅"
        assert session.exec(sqlmodel.select(WaybillRow.papers)).one() == papers
        assert session.get(TrackEvidenceRow, "0x2").document == DRIVE
    unmigrate(storage, "bulk_jobs")
    with storage.engine.begin() as connection:
        assert connection.execute(sa.text("SELECT name_zh FROM party")).scalar_one() == "张师傅"
        back = connection.execute(sa.text("SELECT papers FROM waybill")).scalar_one()
        assert (json.loads(back) if isinstance(back, str) else back) == papers
        drive = connection.execute(sa.text("SELECT document FROM track_evidence")).scalar_one()
        assert bytes(drive) == DRIVE


def test_rows_are_not_sealed_without_a_master_key(empty_storage):
    storage = empty_storage
    migrate(storage, "bulk_jobs")
    with storage.engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO party (party_id, name_zh, name_en, kind, stage, profile)"
                " VALUES ('7', 'a', 'b', 'driver', 'registered', '0x')"
            )
        )
    storage.engine.dialect.yundan_keyring = None
    with pytest.raises(KeyringMissingError):
        migrate(storage)
