"""A whole system in one process: anvil, the contracts, a database, the app, and parties with their keys."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import sqlalchemy as sa
from fastapi.testclient import TestClient

from api.app import create_app
from api.bootstrap import Container
from api.client import YundanClient
from api.settings import Settings
from chain.jobs import index_once, send_once
from chain.signers import LocalSigner
from deploy.contracts import ContractSettings, deploy_contracts
from deploy.node import LocalChain

if TYPE_CHECKING:
    from pathlib import Path

    from chain.abi import ContractCall
    from chain.ids import PartyId

FIRST_BLOCK = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
WITNESS_ONE = 101
ROAD = [[120.0, 32.0], [120.02, 32.0], [120.05, 32.01], [120.08, 32.01]]


def key(word: str) -> LocalSigner:
    return LocalSigner(hashlib.sha256(f"test key {word}".encode()).digest())


class System:
    """Built once for a module; ``settle`` does what the worker would do."""

    def __init__(
        self, folder: Path, url: str = "", http: type[TestClient] = TestClient, **more: object
    ) -> None:
        self.chain = LocalChain(folder / "node", first_block_at=FIRST_BLOCK, keep_state=False)
        self.chain.__enter__()
        secret = hashlib.sha256(b"test relayer").hexdigest()
        self.settings = Settings(
            demo=True,
            var=folder,
            database_url=url,
            rpc_url=self.chain.url,
            chain_id=self.chain.chain_id,
            finality_depth=0,
            relayer_key=secret,
            registrar_key=secret,
            hash_key=hashlib.sha256(b"test hashes").hexdigest(),
            attestor_key=hashlib.sha256(b"test key witness one").hexdigest(),
            attestor_party=WITNESS_ONE,
            **more,
        )
        self.container = Container(self.settings)
        self.container.storage.create_all()
        self.writer = self.container.writer()
        deploy_contracts(
            client=self.container.client,
            storage=self.container.storage,
            writer=self.writer,
            deployer=self.container.relayer.address,
            clock=self.container.wall,
            settings=ContractSettings(
                admin=self.container.relayer.address,
                registrar=self.container.registrar.address,
            ),
            folder=self.settings.deployments,
        )
        self.indexer = self.container.indexer()
        self.http = http(create_app(self.container), raise_server_exceptions=False)
        self.http.__enter__()

    def close(self) -> None:
        self.http.__exit__(None, None, None)
        self.chain.__exit__(None, None, None)

    def settle(self) -> None:
        """Sends what waits and reads the chain back, until nothing moves."""
        for _ in range(10):
            sent = send_once(self.writer)
            index_once(self.indexer)
            if sent is None or not sent.waiting:
                return

    def client(self, word: str) -> YundanClient:
        """A party's client before it is anybody."""
        return YundanClient("http://testserver", signer=key(word), http=self.http)

    def party(
        self, word: str, kind: str = "subcontractor", party: PartyId | None = None
    ) -> YundanClient:
        """A registered party with an API key."""
        made = self.client(word)
        made.register(name_zh=f"{word}公司", name_en=f"Firm {word}", kind=kind, party=party)
        self.settle()
        made.open_key()
        return made

    def send(self, call: ContractCall, word: str) -> None:
        """Sends a call as the admin of the contracts."""
        with self.container.write() as services:
            services.outbox.queue(call, key=f"admin:{word}")
        self.settle()

    def later(self, at: dt.datetime) -> None:
        """Moves the chain's clock forward to an instant."""
        self.container.local.advance_to(at)
        self.settle()

    @contextlib.contextmanager
    def counting(self):
        """Counts the statements sent to the database."""
        seen: list[str] = []

        def note(_connection, _cursor, statement, *_):
            seen.append(statement)

        engine = self.container.storage.engine
        sa.event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            sa.event.remove(engine, "before_cursor_execute", note)

    def now(self) -> dt.datetime:
        return self.container.clock.now()


def plan(road=ROAD) -> dict:
    places = [{"lat": lat, "lon": lon, "radius_m": 300} for lon, lat in (road[0], road[-1])]
    return {
        "planned_route": road,
        "pickup": places[0],
        "delivery": places[1],
        "corridor_half_width_m": 200,
    }
