"""Brings a database to the present schema, in one transaction where the database can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from chain.storage import Storage

TABLES = (
    "chain.tables",
    "tracking.tables",
    "finance.tables",
    "api.tables",
    "api.receipts.tables",
    "api.identity.tables",
    "api.privacy.tables",
)
"""Every module that defines tables: what a database has to be migrated to, and what a backup holds."""

FOLDER = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return config


def migrate(storage: Storage, revision: str = "head") -> None:
    """Runs every migration that is still to run; a second call does nothing."""
    config = _config()
    with storage.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()


def unmigrate(storage: Storage, revision: str = "base") -> None:
    """Takes migrations back down to a revision; for tests and emergencies, rows are lost."""
    config = _config()
    with storage.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
        connection.commit()
