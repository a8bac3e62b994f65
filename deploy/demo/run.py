"""``yundan demo``: sets the stage, lets every party do its part, tells the story, serves the pages.

Every stage asks the platform what is done already, so a run that was killed anywhere goes on where it
stood, and a finished one starts fresh.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

from api.settings import ROOT, Settings
from chain.clock import rfc3339
from chain.errors import YundanError
from deploy.bank.house import HOUSE
from deploy.demo.cast import Keys, party_id
from deploy.demo.errors import DemoError
from deploy.demo.live import LiveDrives
from deploy.demo.stages import STAGES, Stage, World
from deploy.demo.supervisor import Supervisor
from deploy.demo.world import STARTS
from deploy.node import LocalChain, free_port

if TYPE_CHECKING:
    from pathlib import Path

ATTESTORS = ("attestor-1", "attestor-2", "attestor-3")

KILLABLE = ("worker", "anvil", "bank", "custodian")
"""What ``--kill`` can end as a power cut would."""


class Demo:
    """One run of the demo in one folder.

    Args:
        folder: where everything of the run is kept.
        kill: ``PROCESS@STAGE``: which process to kill (``KILLABLE``) when a stage begins; "" for none.
    """

    def __init__(self, folder: Path, kill: str = "") -> None:
        self.folder = folder
        self.kill_what, _, self.kill_at = kill.partition("@")
        if kill and (
            self.kill_what not in KILLABLE or self.kill_at not in {stage.label for stage in STAGES}
        ):
            labels = ", ".join(stage.label for stage in STAGES)
            raise DemoError(f"--kill takes {'|'.join(KILLABLE)}@STAGE; stages: {labels}")
        self._state = folder / "run.json"
        if self._read().get("finished"):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.resumed = bool(self._read())
        self.keys = Keys(folder / "keys.json")
        self.supervisor = Supervisor(folder)
        self.chain = LocalChain(folder / "node", first_block_at=STARTS)
        self._ports = self._read().get("ports") or {
            name: free_port() for name in ("api", "gateway", "bank")
        }
        self._write(finished=False, ports=self._ports)

    # -- what a run remembers of itself -------------------------------------------------------

    def _read(self) -> dict[str, Any]:
        try:
            kept: dict[str, Any] = json.loads(self._state.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return kept

    def _write(self, **changes: Any) -> None:
        draft = self._state.with_suffix(".draft")
        draft.write_text(json.dumps(self._read() | changes), "utf-8")
        draft.replace(self._state)

    @property
    def url(self) -> str:
        """Where the platform answers."""
        return f"http://127.0.0.1:{self._ports['api']}"

    @property
    def bank_url(self) -> str:
        """Where the sandbox bank answers."""
        return f"http://127.0.0.1:{self._ports['bank']}"

    def environment(self, **more: str) -> dict[str, str]:
        """The settings of every process of the run."""
        secret = self._read().get("hash_key") or secrets.token_hex(32)
        self._write(hash_key=secret)
        return {
            "YUNDAN_DEMO": "true",
            "YUNDAN_VAR": str(self.folder),
            "YUNDAN_RPC_URL": self.chain.url,
            "YUNDAN_CHAIN_ID": str(self.chain.chain_id),
            "YUNDAN_FINALITY_DEPTH": "0",
            "YUNDAN_POLL_SECONDS": "0.5",
            "YUNDAN_JOB_PACE": "0.7",
            "YUNDAN_PORT": str(self._ports["api"]),
            "YUNDAN_GATEWAY_PORT": str(self._ports["gateway"]),
            "YUNDAN_RELAYER_KEY": self.keys.secret("relayer"),
            "YUNDAN_REGISTRAR_KEY": self.keys.secret("registrar"),
            "YUNDAN_HASH_KEY": secret,
            "YUNDAN_HOUSE_HOLDER": HOUSE.holder,
            "YUNDAN_HOUSE_NUMBER": HOUSE.number,
            "YUNDAN_HOUSE_BANK": HOUSE.bank,
            **more,
        }

    def settings(self) -> Settings:
        """The same settings, for the demo's own look at the books."""
        given = {
            name.removeprefix("YUNDAN_").lower(): value
            for name, value in self.environment().items()
        }
        return Settings.model_validate(given)

    # -- the run ------------------------------------------------------------------------------

    def run(self) -> World:
        """Plays every stage to its end.

        Raises:
            YundanError: a stage did not hold, or a process died; the same command again goes on.
        """
        for name in self.supervisor.end_leftovers():
            print(f"  ended {name}, left over from an earlier run")
        found = self.chain.start()
        self.supervisor.adopt("anvil", self.chain.process_id)
        if self.resumed:
            print(f"  an unfinished run is resumed; the chain's state was {found}")
        world = World(self)
        for number, stage in enumerate(STAGES, 1):
            began = time.monotonic()
            print(f"■ {number:02d} {stage.label}: {stage.title}", flush=True)
            if stage.label == self.kill_at:
                self._kill()
            stage.play(world)
            self.supervisor.check()
            print(f"     {time.monotonic() - began:.1f} s", flush=True)
        return world

    def finish(self) -> None:
        """Marks the run as finished: the next one starts fresh."""
        self._write(finished=True)

    def start_platform(self) -> None:
        """Starts API, worker and gateway in one process."""
        party = str(party_id(ATTESTORS[0]))
        environment = self.environment(
            YUNDAN_ATTESTOR_KEY=self.keys.secret(ATTESTORS[0]), YUNDAN_ATTESTOR_PARTY=party
        )
        self.supervisor.start("worker", ["serve"], environment)

    def start_bank(self) -> None:
        """Starts the sandbox bank, with books of its own."""
        store = str(self.folder / "bank.db")
        arguments = ["bank", "--port", str(self._ports["bank"]), "--store", store]
        self.supervisor.start("bank", [*arguments, "--starts-at", rfc3339(STARTS)], {})

    def start_custodian(self) -> None:
        """Starts the custodian: its two keys and the bank's door are in its process alone."""
        environment = self.environment(
            YUNDAN_BANK_URL=self.bank_url,
            YUNDAN_CUSTODIAN_KEY=self.keys.secret("custodian-1"),
            YUNDAN_SECOND_CUSTODIAN_KEY=self.keys.secret("custodian-2"),
            YUNDAN_POLL_SECONDS="0.3",
        )
        self.supervisor.start("custodian", ["custodian"], environment)

    def start_attestors(self) -> None:
        """Starts the three attestors, each with its own key."""
        for handle in ATTESTORS:
            environment = self.environment(
                YUNDAN_ATTESTOR_KEY=self.keys.secret(handle),
                YUNDAN_ATTESTOR_PARTY=str(party_id(handle)),
                YUNDAN_API_URL=self.url,
                YUNDAN_POLL_SECONDS="0.7",
            )
            self.supervisor.start(handle, ["attestor"], environment)

    def _kill(self) -> None:
        if self.kill_what == "anvil":
            self.chain.kill()
        else:
            self.supervisor.kill(self.kill_what)
        raise DemoError(
            f"{self.kill_what} was killed at {self.kill_at}, as asked; run again to resume"
        )

    def close(self) -> None:
        """Ends every process of the run."""
        self.supervisor.end()
        self.chain.stop()


def run_demo(*, serve_after: bool, kill: str = "") -> int:
    """The demo as a command: 0 if every stage held."""
    folder = Settings(demo=True).var / "demo"
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    print(f"Yundan 运单 — the demo (kept in {shown})")
    began = time.monotonic()
    # a plain TERM ends the demo the way Ctrl-C does: children first
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    demo: Demo | None = None
    try:
        demo = Demo(folder, kill)
        world = demo.run()
        demo.finish()
        print(f"\nEvery stage held, in {time.monotonic() - began:.0f} s.")
        if serve_after:
            print(f"The pages are open at {demo.url}/ — end with Ctrl-C.")
            drives = LiveDrives(world)
            drives.start()
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(1)
                    demo.supervisor.check()
            drives.stop()
        world.close()
    except KeyboardInterrupt:
        print("\nstopped; the same command resumes")
        return 130
    except YundanError as error:
        print(f"\nthe demo stopped: {error}")
        return 1
    else:
        return 0
    finally:
        if demo is not None:
            demo.close()


__all__ = ["Demo", "Stage", "run_demo"]
