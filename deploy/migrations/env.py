"""Runs migrations over the one metadata of every package's tables.

The database is `-x url=...` on the command line, or the connection that `deploy.migrate` hands over.
"""

from __future__ import annotations

import importlib

from alembic import context

from chain.storage import Row, Storage
from deploy.migrate import TABLES

for tables in TABLES:
    importlib.import_module(tables)


def _run(connection: object) -> None:
    context.configure(
        connection=connection,  # type: ignore[arg-type]  # alembic types it as Connection | None
        target_metadata=Row.metadata,
        render_as_batch=True,  # SQLite alters a table by copying it
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    storage = Storage(context.get_x_argument(as_dictionary=True).get("url", "sqlite://"))
    with storage.engine.connect() as opened:
        _run(opened)
        opened.commit()
    storage.close()
