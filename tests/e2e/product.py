"""The running product for browser tests: anvil, contracts, worker and a real uvicorn on a free port."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import sqlmodel
import uvicorn
from sqlmodel import col

from api.app import create_app
from api.processes import Worker
from chain.ports import TransactionState
from chain.tables import OutgoingTransactionRow
from deploy.node import free_port
from tests.integration.api.system import System

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 30.0
ON_ITS_WAY = (TransactionState.QUEUED, TransactionState.SENT)


class Product(System):
    """A ``System`` whose pages are served over a socket and whose worker runs, until it is closed."""

    def __init__(self, folder: Path) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # as the processes have it
        self._worker: Worker | None = None
        super().__init__(folder, poll_seconds=0.2, job_pace=0.5)
        self._worker = Worker(self.container)
        self._worker.start()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # The container is closed by the app of System; this one only serves.
        config = uvicorn.Config(
            create_app(self.container), port=self.port, log_config=None, lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        self.wait(lambda: self._server.started)

    def settle(self) -> None:
        """Waits until everything queued stands on chain and its events are handled."""
        if self._worker is None:
            super().settle()
            return
        self.wait(self._is_quiet)

    def wait(self, is_so, seconds: float = PATIENCE_S) -> None:
        """Waits until something is so."""
        until = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < until, "it did not happen in time"
            time.sleep(0.03)

    def _is_quiet(self) -> bool:
        with self.container.storage.read() as session:
            states = col(OutgoingTransactionRow.state).in_(ON_ITS_WAY)
            waiting = session.exec(sqlmodel.select(OutgoingTransactionRow).where(states)).first()
            handled = self.container.find_handled_in(session)
        head = self.container.client.fetch_head()
        return waiting is None and handled is not None and handled.number >= head.number

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        if self._worker is not None:
            self._worker.stop()
        super().close()
