"""The processes of a system: API, worker, gateway; any of them alone or several in one.

The worker sends and indexes in a loop that is woken by what it waits for; everything that is due by the
clock is a job of APScheduler, which asks "what is due now" and is harmless to run twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from api.bootstrap import Container
from api.jobs import JOBS, Job
from api.settings import Settings
from api.startup import configure_logs, load_settings
from chain.errors import YundanError
from chain.jobs import ChainLoop

_log = structlog.get_logger(__name__)


class Worker:
    """Sender, indexer and jobs of one process.

    Args:
        container: what they work on.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self.loop = ChainLoop(
            writers=[container.writer()],
            indexer=container.indexer(),
            every_s=container.settings.poll_seconds,
        )
        self.loop.wake = container.wake
        self._scheduler = BackgroundScheduler(timezone="Asia/Shanghai")
        for job in JOBS:
            self._scheduler.add_job(
                self._guarded(job),
                "interval",
                seconds=job.seconds * container.settings.job_pace,
                id=job.name,
                replace_existing=True,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
            )

    def start(self) -> None:
        """Begins to work."""
        self.loop.start()
        self._scheduler.start()

    def stop(self) -> None:
        """Ends after the present round and job; what is not done is done after the next start."""
        self._scheduler.shutdown(wait=True)
        self.loop.stop()

    def _guarded(self, job: Job) -> Callable[[], None]:
        def run() -> None:
            try:
                job.run(self._container)
            except YundanError as error:
                _log.warning("job_put_off", job=job.name, code=error.code, why=str(error))
            except Exception:  # noqa: BLE001  one job must not end the others; it is told
                _log.exception("job_failed", job=job.name)

        return run


def bank_advice(settings: Settings) -> str:
    """What to do so that payouts reach a bank; "" where one is joined and listens."""
    if not settings.bank_url:
        return (
            "no bank is joined: payouts wait until the custodian says that they are paid; `yundan bank` starts a"
            " sandbox bank and prints the settings (YUNDAN_BANK_URL, YUNDAN_HOUSE_...) that join this system to it"
        )
    parts = urlsplit(settings.bank_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=2).close()
    except OSError:
        return (
            f"the bank at {settings.bank_url} does not listen: payouts are kept and asked about until it does;"
            f" the sandbox bank is started by `yundan bank --port {port}`"
        )
    return ""


def run_serve(*, api: bool = False, worker: bool = False, gateway: bool = False) -> None:
    """Runs the named parts in this process until it is told to end (SIGTERM, Ctrl-C).

    Raises:
        SettingsRefusedError, WrongChainError, ChainUnavailableError: it cannot begin; says why.
    """
    settings = load_settings()
    configure_logs()
    _log.info("settings", **settings.describe())
    container = Container(settings)
    container.check_chain()
    work = Worker(container) if worker else None
    if work is not None:
        advice = bank_advice(settings)
        if advice:
            _log.warning("bank_missing", do=advice)
        work.start()
    try:
        asyncio.run(_serve(container, work, api=api, gateway=gateway))
    finally:
        if work is not None:
            work.stop()
        container.close()
    if work is not None and work.loop.failure is not None:
        raise work.loop.failure


async def _serve(container: Container, work: Worker | None, *, api: bool, gateway: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    door = container.gateway() if gateway else None
    if door is not None:
        await door.start()
    server = None
    serving: asyncio.Task[Any] | None = None
    if api:
        from api.serving import Server  # noqa: PLC0415  a worker starts without every page and route

        server = Server(container)
        serving = loop.create_task(server.serve())
    try:
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), 0.5)
            if serving is not None and serving.done():
                break  # the port is taken, or it fell over: its task says why
            if work is not None and not work.loop.is_running():
                break
    finally:
        if server is not None and serving is not None:
            server.should_exit = True
            await serving
        if door is not None:
            await door.stop()
