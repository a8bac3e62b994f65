"""Forged drives: shifted datum, straight-line fill, a drive too perfect, speeds that belie the road."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracking.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracking.corridor import Corridor
    from tracking.drive import Drive
    from tracking.journey import Journey
    from tracking.judge import OtherTrack
    from tracking.policy import Policy
    from tracking.track import Track


def set_datum_right(
    drive: Drive, corridor: Corridor, policy: Policy
) -> tuple[Drive, list[Finding]]:
    return drive, []


def check_fraud(drive: Drive, corridor: Corridor, way: Journey, policy: Policy) -> list[Finding]:
    return []


def check_others(
    drive: Drive, corridor: Corridor, others: Sequence[OtherTrack], track: Track, policy: Policy
) -> list[Finding]:
    return []
