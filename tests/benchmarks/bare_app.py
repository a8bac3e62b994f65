"""The least that a web application can do with a waybill's body: read it as JSON, insert it, commit.

What ``bench_api`` compares with. Run by it: ``python -m tests.benchmarks.bare_app PORT FILE``.
"""

from __future__ import annotations

import sqlite3
import sys
import threading
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI


def create(path: str) -> FastAPI:
    """The application over a SQLite file, as safe against power cuts as ours."""
    app, here = FastAPI(), threading.local()

    def connection() -> sqlite3.Connection:
        if not hasattr(here, "connection"):
            here.connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            here.connection.execute("PRAGMA journal_mode=WAL")
            here.connection.execute("PRAGMA synchronous=NORMAL")
        return here.connection

    sqlite3.connect(path).execute(
        "CREATE TABLE IF NOT EXISTS w (id INTEGER PRIMARY KEY, body TEXT)"
    )

    @app.post("/waybills", status_code=201)
    def insert(body: Annotated[dict, Body()]) -> dict:
        to = connection()
        to.execute("BEGIN IMMEDIATE")
        row = to.execute("INSERT INTO w (body) VALUES (?)", (str(body),)).lastrowid
        to.execute("COMMIT")
        return {"id": row}

    return app


if __name__ == "__main__":
    uvicorn.run(create(sys.argv[2]), port=int(sys.argv[1]), log_level="error")
