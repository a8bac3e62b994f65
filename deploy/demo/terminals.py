"""The demo's positioning terminals: each vehicle's own JT/T 808 connection, on one loop in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from tracking import jt808
from tracking.ingest.replay import Device, ReplayError, TerminalClient

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracking.fix import Fix


PATIENCE_S = 20.0


class Terminals:
    """Connections by phone, opened when first used and kept while the vehicle drives.

    Args:
        host: of the gateway.
        port: of the gateway.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._open: dict[str, tuple[TerminalClient, contextlib.AsyncExitStack]] = {}
        self.sent = 0

    def send(self, batches: Mapping[str, Sequence[Fix]]) -> None:
        """Sends each vehicle's fixes over its own connection and waits for every acknowledgement.

        Raises:
            ReplayError: the gateway does not take them.
        """
        sending = asyncio.run_coroutine_threadsafe(self._send_all(batches), self._loop)
        try:
            sending.result(PATIENCE_S)
        except (TimeoutError, OSError) as error:
            sending.cancel()
            raise ReplayError("the gateway does not answer; run again to resume") from error

    async def _send_all(self, batches: Mapping[str, Sequence[Fix]]) -> None:
        await asyncio.gather(*(self._send(phone, fixes) for phone, fixes in batches.items()))

    async def _send(self, phone: str, fixes: Sequence[Fix]) -> None:
        if phone not in self._open:
            stack = contextlib.AsyncExitStack()
            device = Device(terminal_id=phone[-7:])
            client = await stack.enter_async_context(
                TerminalClient.connect(self._host, self._port, phone, device)
            )
            await client.log_in()
            self._open[phone] = client, stack
        client, _ = self._open[phone]
        for fix in fixes:
            answer = await client.ask(jt808.LOCATION, jt808.write_location(fix))
            if answer.result:
                raise ReplayError("the gateway refuses a position", result=answer.result)
            self.sent += 1

    def close(self) -> None:
        """Logs out and closes every connection."""

        async def leave() -> None:
            for client, stack in self._open.values():
                await client.log_out()
                await stack.aclose()

        leaving = asyncio.run_coroutine_threadsafe(leave(), self._loop)
        with contextlib.suppress(
            TimeoutError, OSError, ReplayError
        ):  # a dead gateway hears no good-bye
            leaving.result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        if not self._loop.is_running():
            self._loop.close()
        self._open.clear()
