"""A backup of one database, restored into another of either kind, tells the same to the last row."""

from __future__ import annotations

import datetime as dt
import json
import zipfile

import pytest
import sqlalchemy as sa

from api.identity.people import People
from api.identity.roles import Role
from chain.clock import FixedClock
from chain.document import document_hash
from chain.ids import Address, PartyId
from chain.party import Party, PartyStage
from chain.repository import SqlRecords
from chain.sealing import Keyring
from chain.storage import Storage
from deploy.backup import BackupRefusedError, backup, restore
from deploy.migrate import migrate

CLOCK = FixedClock(dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC))
RING = Keyring([bytes(range(32))])
ZHANG = Party(
    PartyId(2**63 + 5), "张师傅", "Driver Zhang", "driver", PartyStage.REGISTERED,
    Address("0x" + "aa" * 20), document_hash({}, b""), CLOCK.now(),
)  # fmt: skip


def fill(storage):
    migrate(storage)
    with storage.write() as session:
        SqlRecords(session).add_party(ZHANG)
        people = People(session, CLOCK, RING)
        org = people.found("顺达", ZHANG.id)
        _, token = people.invite(org.id, Role.OWNER, "test")
        words = "a truck full of sugar, at dawn"
        people.accept(token, login="zhang", name="张", password=words)


def told(storage):
    with storage.read() as session:
        people = People(session, CLOCK, RING)
        org = people.find_of_party(ZHANG.id)
        return SqlRecords(session).find_party(ZHANG.id), org, people.list_members(org.id)


@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_a_backup_is_restored_whole_on_either_database(empty_storage, target, tmp_path, request):
    fill(empty_storage)
    file = tmp_path / "all.zip"
    rows = backup(empty_storage, file, CLOCK)
    assert rows["party"] == rows["account"] == rows["member"] == 1
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    for text in ("张师傅", "Driver Zhang", "顺达", "zhang"):
        assert text.encode() not in everything
    url = f"sqlite:///{tmp_path}/restored.db"
    if target == "postgresql":
        url = request.getfixturevalue("postgres_server").new_database()
    fresh = Storage(url, keyring=RING)
    try:
        assert restore(fresh, file) == rows
        assert told(fresh) == told(empty_storage)
        with pytest.raises(BackupRefusedError, match="empty database"):
            restore(fresh, file)
    finally:
        fresh.close()
    with pytest.raises(BackupRefusedError, match="exists"):
        backup(empty_storage, file, CLOCK)


def test_a_damaged_backup_restores_nothing(tmp_path):
    source = Storage(f"sqlite:///{tmp_path}/a.db", keyring=RING)
    fill(source)
    backup(source, tmp_path / "good.zip", CLOCK)
    source.close()
    with (
        zipfile.ZipFile(tmp_path / "good.zip") as good,
        zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad,
    ):
        for name in good.namelist():
            content = good.read(name)
            bad.writestr(name, b"" if name == "member.jsonl" else content)
    fresh = Storage(f"sqlite:///{tmp_path}/b.db", keyring=RING)
    with pytest.raises(BackupRefusedError, match="table member is damaged"):
        restore(fresh, tmp_path / "bad.zip")
    with fresh.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM party")).scalar_one() == 0
    fresh.close()
    empty = Storage(f"sqlite:///{tmp_path}/c.db", keyring=RING)
    (tmp_path / "no.zip").write_bytes(b"nothing")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("manifest.json", json.dumps({"form": "else"}))
    for name in ("no.zip", "other.zip", "absent.zip"):
        with pytest.raises(BackupRefusedError):
            restore(empty, tmp_path / name)
    empty.close()
