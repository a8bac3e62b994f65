"""A migrated database equals the models, on SQLite and on PostgreSQL, and goes back down."""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from chain.storage import Row
from deploy.migrate import TABLES, migrate, unmigrate

for tables in TABLES:
    importlib.import_module(tables)


def differences(storage):
    with storage.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return compare_metadata(context, Row.metadata)


def test_migrated_equals_models_and_goes_back(empty_storage):
    storage = empty_storage
    migrate(storage)
    assert differences(storage) == []
    migrate(storage)  # twice is once
    assert differences(storage) == []

    unmigrate(storage)
    left = set(sa.inspect(storage.engine).get_table_names()) - {"alembic_version"}
    assert left == set()


def test_checks_and_uniques_are_migrated_too(empty_storage):
    """Alembic compares columns and indexes; constraints are compared here, by name."""
    storage = empty_storage
    migrate(storage)
    inspector = sa.inspect(storage.engine)
    for name, table in Row.metadata.tables.items():
        wanted = {
            str(constraint.name)
            for constraint in table.constraints
            if isinstance(constraint, sa.CheckConstraint | sa.UniqueConstraint)
        }
        found = {c["name"] for c in inspector.get_check_constraints(name)} | {
            c["name"] for c in inspector.get_unique_constraints(name)
        }
        assert wanted <= found, f"table {name} lacks {wanted - found}"
