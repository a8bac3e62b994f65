"""The two rounds that keep the database and the chain together, and the loop that runs them.

No scheduler lives here: ``send_once`` and ``index_once`` may be called by one, and ``ChainLoop`` calls
them at once when a use case has queued something, so that a signature becomes a row in milliseconds.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import structlog

from chain.errors import (
    ChainUnavailableError,
    DeepReorganisationError,
    WrongChainError,
)
from chain.lease import LeaseLostError
from chain.wire import NodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chain.indexer import Advance, Indexer
    from chain.settling import Progress
    from chain.transactions import TransactionWriter

log = structlog.get_logger(__name__)


def send_once(writer: TransactionWriter, *, rounds: int = 50) -> Progress | None:
    """Rounds of the writer until nothing moves; None while the node does not answer, or refuses to."""
    done = None
    for _ in range(rounds):
        try:
            done = writer.send_once()
        except (ChainUnavailableError, NodeError) as error:
            log.warning("the node does not answer; trying again", error=str(error))
            return None
        except LeaseLostError:
            return done
        if not done.moved:
            break
    return done


def index_once(indexer: Indexer, *, rounds: int = 1000) -> Advance | None:
    """Rounds of the indexer until it has reached the head; None while the node does not answer."""
    done = None
    for _ in range(rounds):
        try:
            done = indexer.index_once()
        except (ChainUnavailableError, NodeError) as error:
            log.warning("the node gives no believable answer; trying again", error=str(error))
            return None
        if not done.moved:
            break
    return done


class ChainLoop:
    """A thread that sends and indexes: at once when woken, else every ``every_s`` seconds.

    It stops by itself, and says why in ``failure``, only where going on would do harm: another chain,
    a reorganisation below finality, an error of a handler that comes again at every try.

    Args:
        writers: one for each key this process may sign with; none in a process that only reads.
        indexer: follows the chain; None in a process that only sends.
        every_s: longest rest between two looks.
        patience: how often the same unexpected error may come in a row.
    """

    def __init__(
        self,
        *,
        writers: Sequence[TransactionWriter] = (),
        indexer: Indexer | None = None,
        every_s: float = 0.1,
        patience: int = 20,
    ) -> None:
        self.wake = threading.Event()
        self.failure: Exception | None = None
        self.progress: Progress | None = None
        self.advance: Advance | None = None
        self._writers = writers
        self._indexer = indexer
        self._every_s = every_s
        self._patience = patience
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="chain", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after its present round and gives the keys back."""
        self._stopping.set()
        self.wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for writer in self._writers:
            writer.close()

    def is_running(self) -> bool:
        """True while the thread works; False once it has stopped, asked or not."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self.wake.clear()
            began = time.monotonic()
            try:
                moved = self._round()
                failures = 0
            except (WrongChainError, DeepReorganisationError) as error:
                log.critical("the chain loop has stopped", error=str(error), code=error.code)
                self.failure = error
                return
            except Exception as error:
                failures += 1
                log.exception("a round of the chain loop failed", failures=failures)
                if failures >= self._patience:
                    self.failure = error
                    return
                moved = False
            if not moved:
                # a failing round waits longer each time, so that the log can be read
                rest = self._every_s * (1 + min(failures, 20)) - (time.monotonic() - began)
                self.wake.wait(max(rest, 0.005))

    def _round(self) -> bool:
        moved = False
        for writer in self._writers:
            if writer.may_rest():
                continue
            self.progress = send_once(writer, rounds=1)
            moved |= self.progress is not None and self.progress.moved
        if self._indexer is not None:
            self.advance = index_once(self._indexer, rounds=1)
            moved |= self.advance is not None and self.advance.moved
        return moved
