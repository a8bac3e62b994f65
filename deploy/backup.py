"""Backup and restore of a whole database, the same file for SQLite and PostgreSQL.

A backup is a zip: ``manifest.json`` (revision, chain, rows and SHA-256 of each table) and one JSON-lines file
a table, read in one transaction. Personal data stay sealed in it: without the master key it tells no names.
A restore goes into an empty database only, brings it to the backup's revision, compares every sum before it
commits, and erases again whoever was erased.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import importlib
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from chain.clock import rfc3339
from chain.errors import YundanError
from chain.storage import Row
from deploy.migrate import TABLES, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chain.clock import Clock
    from chain.storage import Storage

FORM = "yundan backup 1"
PAGE = 2000


class BackupRefusedError(YundanError):
    """The backup cannot be taken or restored."""

    code = "backup_refused"


def _metadata() -> sa.MetaData:
    for tables in TABLES:
        importlib.import_module(tables)
    return Row.metadata


def _raw_table(table: sa.Table) -> sa.Table:
    """The same table with its sealed columns as plain bytes."""
    return sa.Table(
        table.name,
        sa.MetaData(),
        *(sa.Column(c.name, sa.LargeBinary() if _is_sealed(c) else c.type) for c in table.columns),
    )


def _is_sealed(column: sa.Column[Any]) -> bool:
    return hasattr(column.type, "place")


def _to_json(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return {"b": base64.b64encode(bytes(value)).decode()}
    if isinstance(value, dt.datetime):
        return {"t": value.astimezone(dt.UTC).isoformat()}
    if isinstance(value, dict | list):
        return {"j": value}
    return value


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "b":
        return base64.b64decode(content)
    return dt.datetime.fromisoformat(content) if kind == "t" else content


def _rows(connection: sa.Connection, table: sa.Table, raw: sa.Table) -> Iterator[bytes]:
    order = [raw.c[c.name] for c in table.primary_key.columns]
    result = connection.execution_options(yield_per=PAGE).execute(sa.select(raw).order_by(*order))
    for row in result:
        values = [_to_json(value) for value in row]
        yield json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def backup(storage: Storage, path: Path, clock: Clock) -> dict[str, int]:
    """Writes every table into a new file; how many rows of each.

    Raises:
        BackupRefusedError: the file exists, or the database was never migrated.
    """
    if path.exists():
        raise BackupRefusedError(f"{path.name} exists; a backup is never written over")
    draft = path.with_suffix(path.suffix + ".draft")
    tables: dict[str, Any] = {}
    one_moment: dict[str, Any] = (
        {"read_only": True} if storage.is_sqlite else {"isolation_level": "REPEATABLE READ"}
    )
    with (
        storage.engine.connect().execution_options(**one_moment) as connection,
        connection.begin(),
        zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        os.chmod(draft, 0o600)  # noqa: PTH101  as narrow as can be, before anything is in it
        revision = _revision(connection)
        for table in _metadata().sorted_tables:
            raw, total, count = _raw_table(table), hashlib.sha256(), 0
            with archive.open(f"{table.name}.jsonl", "w", force_zip64=True) as file:
                for line in _rows(connection, table, raw):
                    file.write(line)
                    total.update(line)
                    count += 1
            tables[table.name] = {
                "rows": count,
                "sha256": total.hexdigest(),
                "columns": [c.name for c in table.columns],
            }
        manifest = {
            "form": FORM,
            "revision": revision,
            "taken_at": rfc3339(clock.now()),
            "tables": tables,
        }
        archive.writestr("manifest.json", json.dumps(manifest, indent=1))
    draft.replace(path)
    return {name: found["rows"] for name, found in tables.items()}


def restore(storage: Storage, path: Path) -> dict[str, int]:
    """Fills an empty database from a backup; how many rows of each table.

    Raises:
        BackupRefusedError: no backup, damaged, of another revision, or the database is not empty.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            if manifest.get("form") != FORM:
                raise BackupRefusedError("this is no backup of this program")
            _require_empty(storage)
            migrate(storage, manifest["revision"])
            with storage.engine.begin() as connection:
                _fill(connection, archive, manifest["tables"], sqlite=storage.is_sqlite)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BackupRefusedError(f"the backup cannot be read: {type(error).__name__}") from error
    migrate(storage)  # a backup of an older revision is brought up
    return {name: found["rows"] for name, found in manifest["tables"].items()}


def _fill(
    connection: sa.Connection, archive: zipfile.ZipFile, tables: dict[str, Any], *, sqlite: bool
) -> None:
    known = _metadata().tables
    for table in _metadata().sorted_tables:
        told = tables.get(table.name)
        if told is None:
            continue
        raw, total, count = _raw_table(known[table.name]), hashlib.sha256(), 0
        page: list[dict[str, Any]] = []
        with archive.open(f"{table.name}.jsonl") as lines:
            for line in lines:
                total.update(line)
                count += 1
                values = [_from_json(value) for value in json.loads(line)]
                page.append(dict(zip(told["columns"], values, strict=True)))
                if len(page) == PAGE:
                    connection.execute(sa.insert(raw), page)
                    page = []
        if page:
            connection.execute(sa.insert(raw), page)
        if (count, total.hexdigest()) != (told["rows"], told["sha256"]):
            raise BackupRefusedError(f"the table {table.name} is damaged; nothing was restored")
        if not sqlite:
            _set_counter(connection, known[table.name])


def _set_counter(connection: sa.Connection, table: sa.Table) -> None:
    """PostgreSQL counts rows by itself: it must go on after the last restored one."""
    column = table.autoincrement_column
    if column is None:
        return
    sequence = connection.execute(
        sa.select(sa.func.pg_get_serial_sequence(table.name, column.name))
    ).scalar()
    if sequence is not None:
        most: sa.Select[Any] = sa.select(sa.func.max(sa.column(column.name))).select_from(
            sa.table(table.name)
        )
        last = connection.execute(most).scalar()
        if last is not None:
            connection.execute(sa.select(sa.func.setval(sequence, last)))


def _revision(connection: sa.Connection) -> str:
    version = sa.table("alembic_version", sa.column("version_num"))
    try:
        return str(connection.execute(sa.select(version.c.version_num)).scalar_one())
    except sa.exc.SQLAlchemyError as error:
        raise BackupRefusedError("this database was never migrated") from error


def _require_empty(storage: Storage) -> None:
    if sa.inspect(storage.engine).get_table_names():
        raise BackupRefusedError("a backup is restored into an empty database only")
