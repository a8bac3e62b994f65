"""The demo's child processes: started, watched, named in pid files, and ended with it.

A process left over from a demo that was killed is ended by the next one before it starts its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.demo.errors import ChildDiedError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 10.0
"""How long a child may take to end when it is asked to."""


@dataclass(slots=True)
class Child:
    """One running child."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Supervisor:
    """Starts the ``yundan`` commands that the demo needs and notices when one dies."""

    def __init__(self, folder: Path) -> None:
        self._pids = folder / "pids"
        self._logs = folder / "logs"
        for path in (self._pids, self._logs):
            path.mkdir(parents=True, exist_ok=True)
        self._children: list[Child] = []

    def end_leftovers(self) -> list[str]:
        """Ends children of an earlier demo that outlived it; gives their names."""
        ended = []
        for path in sorted(self._pids.glob("*.pid")):
            pid = int(path.read_text() or 0)
            if pid and _is_ours(pid):
                ended.append(path.stem)
                _end(pid)
            path.unlink(missing_ok=True)
        return ended

    def start(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> Child:
        """Starts ``yundan ARGUMENTS`` under a name; what it says goes to its log."""
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", *arguments],
                cwd=ROOT,
                env={**_inherited(), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which then ends them in order
            )
        child = Child(name, process, log)
        self._children.append(child)
        (self._pids / f"{name}.pid").write_text(str(process.pid))
        return child

    def adopt(self, name: str, pid: int | None) -> None:
        """Names a process that is watched elsewhere, so that the next run can end what is left of it."""
        if pid is not None:
            (self._pids / f"{name}.pid").write_text(str(pid))

    def kill(self, name: str) -> None:
        """Ends a child as a power cut would."""
        child = next(child for child in self._children if child.name == name)
        child.process.kill()
        child.process.wait()

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return next(child.process.pid for child in self._children if child.name == name)

    def check(self) -> None:
        """Raises ChildDiedError if a child has ended that should not have."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise ChildDiedError(child.name, code, child.log)

    def end(self) -> None:
        """Asks every child to end, the last started first, and kills what does not."""
        for child in reversed(self._children):
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()
        for child in reversed(self._children):
            try:
                child.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            (self._pids / f"{child.name}.pid").unlink(missing_ok=True)
        self._children.clear()


def _inherited() -> dict[str, str]:
    """The environment without settings of ours, which the demo gives itself."""
    everything = dict(os.environ)  # noqa: TID251  passed on, not read
    return {name: value for name, value in everything.items() if not name.startswith("YUNDAN_")}


def _is_ours(pid: int) -> bool:
    """Whether a process id still belongs to a yundan command (ids are used again)."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        listed = subprocess.run(  # where there is no /proc
            ["ps", "-p", str(pid), "-o", "command="],
            capture_output=True,
            check=False,
        )
        command = listed.stdout
    return b"deploy.cli" in command or b"anvil" in command


def _end(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.05)
