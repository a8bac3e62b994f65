"""What can go wrong with a demo, in words that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.errors import YundanError

if TYPE_CHECKING:
    from pathlib import Path


class DemoError(YundanError):
    """The demo could not go on."""

    code = "demo_error"


class ChildDiedError(DemoError):
    """A process of the demo ended early."""

    code = "demo_process_died"

    def __init__(self, name: str, status: int, log: Path) -> None:
        how = f"was ended by signal {-status}" if status < 0 else f"ended with exit code {status}"
        super().__init__(
            f"{name} {how}; its words are in {log}. Run the same command again: it resumes",
            process=name,
            status=status,
        )


class StageFailedError(DemoError):
    """A stage of the demo did not hold."""

    code = "demo_stage_failed"
