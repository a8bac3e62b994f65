"""Many packs on one machine: a process a core, reports as they come, nothing kept."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from api.verifier.report import Report
from api.verifier.verify import verify_pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

CHUNK = 4


def verify_packs(
    paths: Sequence[Path],
    *,
    rpc: str | None = None,
    trust: Sequence[str] = (),
    deployment: Path | None = None,
    workers: int | None = None,
) -> Iterator[Report]:
    """The reports of packs, in their order; a file that cannot be opened is a red report, not an end.

    Args:
        paths: the packs.
        rpc: as for ``verify_pack``.
        trust: likewise.
        deployment: likewise.
        workers: processes; as many as there are cores unless given.
    """
    one = functools.partial(_verify, rpc=rpc, trust=tuple(trust), deployment=deployment)
    with ProcessPoolExecutor(workers or os.cpu_count() or 1) as pool:
        yield from pool.map(one, paths, chunksize=CHUNK)


def _verify(
    path: Path, *, rpc: str | None, trust: Sequence[str], deployment: Path | None
) -> Report:
    try:
        return verify_pack(path, rpc=rpc, trust=trust, deployment=deployment)
    except OSError as error:
        report = Report(path.name)
        section = report.section("pack", "The file is a pack 文件")
        section.red("pack.structure.refused", path.name, f"cannot be opened: {error.strerror}")
        return report
