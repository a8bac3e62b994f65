"""The local anvil node: started by path, its state kept between runs, its clock going on.

anvil is not durable. It writes its state each second, not atomically, so a kill loses seconds and
may leave half a file. Good copies are kept aside while it runs, and a start takes the newest file
that parses; what is lost after that, the writer sends again (chain/transactions.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from chain.client import ChainClient
from chain.errors import ChainError, ChainUnavailableError
from chain.local_node import LocalNode
from chain.signers import LocalSigner

if TYPE_CHECKING:
    import datetime as dt

ROOT = Path(__file__).resolve().parents[1]
CHAIN_ID = 20_260_126
"""The local chain's id: no public network has it."""

COPIES = 3
UNREADABLE = "for '--state"
"""What anvil says of a state that is whole JSON but not a chain's."""
START_S = 20.0
COPY_EVERY_S = 5.0
"""Reading a state to see that it is whole costs as much as it is large."""


class NodeNotFoundError(ChainError):
    """anvil is not installed."""

    code = "node_not_found"


class NodeNotStartedError(ChainError):
    """anvil did not come up."""

    code = "node_not_started"


def find_anvil() -> Path:
    """The anvil program of npm, else the one on PATH.

    Raises:
        NodeNotFoundError: neither is there.
    """
    for folder in sorted((ROOT / "node_modules" / "@foundry-rs").glob("anvil-*")):
        found = folder / "bin" / "anvil"
        if found.exists():
            return found
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    raise NodeNotFoundError(
        "anvil is neither in node_modules/@foundry-rs (run `make setup`) nor on PATH"
    )


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where a local node keeps what must outlive it, in one folder under ``var``."""

    folder: Path

    @property
    def state(self) -> Path:
        """The file anvil writes."""
        return self.folder / "state.json"

    @property
    def birth(self) -> Path:
        """The time of the first block and the port last used."""
        return self.folder / "node.json"

    @property
    def log(self) -> Path:
        """What anvil says."""
        return self.folder / "anvil.log"

    def copies(self) -> list[Path]:
        """Good copies of the state, newest first."""
        return sorted(self.folder.glob("state.good.*.json"), key=_order, reverse=True)

    def keep_good_copy(self) -> bool:
        """Sets a copy of the state aside if it is whole and new; True if it did."""
        try:
            stat = self.state.stat()
            body = self.state.read_bytes()
        except OSError:
            return False
        copy = self.folder / f"state.good.{stat.st_mtime_ns}.json"
        if copy.exists() or not _is_whole(body):
            return False
        draft = copy.with_suffix(".draft")
        draft.write_bytes(body)
        draft.replace(copy)
        for old in self.copies()[COPIES:]:
            old.unlink(missing_ok=True)
        return True

    def repair(self) -> str:
        """Puts the newest whole state in place; says in a word what was found.

        Returns:
            "whole", "restored" (from a copy) or "lost" (there is none: the chain starts anew).
        """
        try:
            if _is_whole(self.state.read_bytes()):
                return "whole"
        except OSError:
            pass
        for copy in self.copies():
            body = copy.read_bytes()
            if _is_whole(body):
                self.state.write_bytes(body)
                return "restored"
        self.state.unlink(missing_ok=True)
        return "lost"

    def set_aside(self) -> str:
        """Moves a state that anvil cannot read, and copies like it, out of the way; then as `repair`."""
        unreadable = self.state.read_bytes()
        for copy in self.copies():
            if copy.read_bytes() == unreadable:
                copy.unlink()
        self.state.replace(self.folder / "state.unreadable.json")
        return self.repair()


def _order(path: Path) -> int:
    return int(path.name.split(".")[2])


def _is_whole(body: bytes) -> bool:
    if len(body) < 2:
        return False
    try:
        parsed = json.loads(body)
    except ValueError:
        return False
    return isinstance(parsed, dict) and "block" in parsed and "accounts" in parsed


class LocalChain:
    """One anvil process with its folder.

    Args:
        folder: where state, log and keys are kept.
        first_block_at: time of the first block; only the first start of a folder uses it.
        port: 0 for the port used last, or a free one.
        chain_id: the chain's id.
        keep_state: False for a chain that is gone with its process.
        old_states: blocks whose states are kept; 0 for anvil's own choice, which beyond 500 blocks writes
            a whole state to disk for every new one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        first_block_at: dt.datetime | None = None,
        port: int = 0,
        chain_id: int = CHAIN_ID,
        keep_state: bool = True,
        old_states: int = 0,
    ) -> None:
        self.files = NodeFiles(folder)
        self.chain_id = chain_id
        self._first_block_at = first_block_at
        self._port = port
        self._keep_state = keep_state
        self._old_states = old_states
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """The node's JSON-RPC address."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def process_id(self) -> int | None:
        """The running anvil's process id."""
        return None if self._process is None else self._process.pid

    def start(self) -> str:
        """Starts anvil on the kept state and waits until it answers.

        Returns:
            What was found of the state: "whole", "restored" or "lost" (also on a first start).

        Raises:
            NodeNotFoundError: anvil is not installed.
            NodeNotStartedError: it does not come up; the message has the end of its log.
        """
        program = find_anvil()
        self.files.folder.mkdir(parents=True, exist_ok=True)
        birth = self._birth()
        found = self.files.repair() if self._keep_state else "lost"
        for attempt in range(3 + COPIES):
            self._port = self._port or int(birth.get("port", 0)) or free_port()
            if self._is_taken(self._port):
                if attempt >= 2:
                    raise NodeNotStartedError(f"port {self._port} is taken by another program")
                self._port = free_port()
            self._launch(program, int(birth["first_block_at"]))
            if self._wait():
                break
            told = self._end_of_log()
            self.kill()
            if UNREADABLE in told and self.files.state.exists():
                found = self.files.set_aside()
                self.files.log.unlink(missing_ok=True)  # what it said is dealt with
                continue
            if attempt >= 2:
                raise NodeNotStartedError(f"anvil did not come up: {told}")
            self._port = free_port()
        birth["port"] = self._port
        self.files.birth.write_text(json.dumps(birth), "utf-8")
        LocalNode(self.client()).keep_time()
        if self._keep_state:
            self._stopping.clear()
            self._keeper = threading.Thread(target=self._keep_copies, daemon=True, name="state")
            self._keeper.start()
        return found

    def client(self, *, timeout_s: float = 10.0) -> ChainClient:
        """A client of this node."""
        return ChainClient(self.url, chain_id=self.chain_id, timeout_s=timeout_s)

    def stop(self) -> None:
        """Ends anvil in order: it writes its state first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends anvil as a power cut would."""
        self._end(signal.SIGKILL)

    def is_running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.poll() is None

    def _birth(self) -> dict[str, Any]:
        if self.files.birth.exists():
            kept: dict[str, Any] = json.loads(self.files.birth.read_text("utf-8"))
            return kept
        at = self._first_block_at
        return {"first_block_at": int(at.timestamp()) if at else int(time.time())}  # noqa: TID251  the machine's own node

    def _launch(self, program: Path, first_block_at: int) -> None:
        command = [
            str(program),
            *("--host", "127.0.0.1", "--port", str(self._port)),
            *("--chain-id", str(self.chain_id)),
            *("--timestamp", str(first_block_at)),
            *("--accounts", "0"),  # no well-known keys; gas is free
            *("--gas-price", "0", "--block-base-fee-per-gas", "0"),
            *("--gas-limit", "100000000"),
            *("--order", "fifo", "--hardfork", "paris", "--disable-min-priority-fee"),
        ]
        if self._keep_state:
            command += ["--state", str(self.files.state), "--state-interval", "1"]
        if self._old_states:
            command += ["--prune-history", str(self._old_states)]
        with self.files.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for us, not for the node
            )

    def _wait(self) -> bool:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.is_running():
            with contextlib.suppress(ChainUnavailableError):
                self.client(timeout_s=2.0)
                time.sleep(0.05)  # if another's node answered, ours is about to say "port taken"
                return self.is_running()
            time.sleep(0.03)
        return False

    def _is_taken(self, port: int) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return True
            return False

    def _end_of_log(self) -> str:
        try:
            return self.files.log.read_text("utf-8", "replace").strip()[-300:]
        except OSError:
            return "it left no log"

    def _keep_copies(self) -> None:
        while not self._stopping.wait(COPY_EVERY_S):
            with contextlib.suppress(OSError):
                self.files.keep_good_copy()

    def _end(self, how: signal.Signals) -> None:
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None
        if how is signal.SIGTERM and self._keep_state:
            with contextlib.suppress(OSError):
                self.files.keep_good_copy()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def find_or_make_key(folder: Path, name: str) -> LocalSigner:
    """A development key of this checkout: random, kept in ``folder`` for its owner's eyes only.

    Raises:
        ChainError: the file is there but holds no key.
    """
    path = folder / f"{name}.key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())
    return LocalSigner(path.read_text("utf-8").strip())


if __name__ == "__main__":
    chain = LocalChain(ROOT / "var" / "node", port=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(f"state {chain.start()}, listening on {chain.url}")
    with contextlib.suppress(KeyboardInterrupt):
        while chain.is_running():
            time.sleep(1)
    chain.stop()
