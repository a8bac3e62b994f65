"""A gateway as a process of its own, for tests that kill it: prints its port, serves until it ends."""

from __future__ import annotations

import asyncio
import sys

from chain.storage import Storage
from tests.integration.tracking.road import Road


async def main(url):
    road = Road(Storage(url))
    async with road.open():
        print(road.port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
