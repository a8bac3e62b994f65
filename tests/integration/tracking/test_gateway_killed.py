"""SIGKILL at any moment: no acknowledged fix is lost, and what is sent again is stored once."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
from collections import Counter

import pytest

from tests.integration.tracking.road import PHONE, Road, drive
from tracking import jt808
from tracking.ingest.replay import Device, ReplayError, TerminalClient

KILLS = 4


@pytest.mark.parametrize("empty_storage", ["sqlite"], indirect=True)
def test_no_acknowledged_fix_is_lost_when_the_gateway_is_killed(empty_storage):
    empty_storage.create_all()
    road = Road(empty_storage)
    road.register(PHONE, auth_code="KNOWN")
    fixes = drive(4_000, step=1)
    url = empty_storage.url.render_as_string(hide_password=False)
    acknowledged: set[int] = set()
    rng = random.Random(808)

    async def one_life(acks):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "ignore", "-m", "tests.integration.tracking.gateway_process", url,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while not (first := await process.stdout.readline()).strip().isdigit():
                assert first, "the gateway has ended"
            await asyncio.gather(play(int(first)), kill(process, len(acknowledged) + acks))
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def kill(process, when):
        while len(acknowledged) < when:  # noqa: ASYNC110  the moment is what is tried, whatever the machine
            await asyncio.sleep(0.001)
        with contextlib.suppress(ProcessLookupError):
            process.kill()

    async def play(port):
        left = [fix for fix in fixes if fix.time not in acknowledged]
        device = Device(variant=2013, auth_code="KNOWN")
        with contextlib.suppress(ReplayError, ConnectionError):
            async with TerminalClient.connect("127.0.0.1", port, PHONE, device) as client:
                await client.log_in()
                for at in range(0, len(left), 20):
                    group = left[at : at + 20]
                    flying = [
                        (fix, client.send(jt808.LOCATION, jt808.write_location(fix)))
                        for fix in group
                    ]
                    for fix, sending in flying:
                        if (await sending.answer(30.0, 1)).result == 0:
                            acknowledged.add(fix.time)

    for _ in range(KILLS):
        asyncio.run(one_life(rng.randint(1, 300)))
        stored = Counter(fix.time for fix in road.fixes(PHONE))
        assert acknowledged <= set(stored), "an acknowledged fix is gone"
        assert set(stored.values()) <= {1}
        # and its raw frame with it: the verdict can be computed again
        held = {f.time for f in _from_raw(road)}
        assert set(stored) == held
    assert len(acknowledged) >= KILLS


def _from_raw(road):
    from tracking.evidence import read_frames

    return read_frames(road.raw(PHONE), PHONE)
