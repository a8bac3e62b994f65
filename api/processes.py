"""The processes of a system: API, worker, gateway, attestor; any of them alone or several in one.

The worker sends and indexes in a loop that is woken by what it waits for; everything that is due by the
clock is a job of APScheduler, which asks "what is due now" and is harmless to run twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn
from apscheduler.schedulers.background import BackgroundScheduler
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from api.app import create_app
from api.bootstrap import Container
from api.jobs import JOBS, Job, carry_out_payouts
from api.settings import Settings
from chain.errors import YundanError
from chain.jobs import ChainLoop

_log = structlog.get_logger(__name__)


class SettingsRefusedError(YundanError):
    """The environment does not describe a system that may run."""

    code = "settings_refused"


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsRefusedError: one line for what is missing or unsafe.
    """
    try:
        return Settings()
    except ValidationError as error:
        said = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
        raise SettingsRefusedError(said) from None


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
    settings = container.settings
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
        config = uvicorn.Config(
            create_app(container),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=10,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=settings.trusted_proxies or None,
        )
        server = _Server(config)
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


class _Server(uvicorn.Server):
    """A server that leaves signals to the process: other parts end with it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures nothing."""
        yield


def run_attestor(*, once: bool = False) -> None:
    """Runs an attestor: looks for trips that wait for its word, judges their raw evidence, signs."""
    from api.attestor import Attestor  # noqa: PLC0415  geometry is loaded where it is needed

    settings = load_settings()
    configure_logs()
    attestor = Attestor(settings)
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    while not stopping:
        try:
            attestor.look_once()
        except YundanError as error:
            _log.warning("attestor_put_off", code=error.code, why=str(error))
        if once:
            return
        time.sleep(settings.poll_seconds)


def run_custodian(*, once: bool = False) -> None:
    """Runs the custodian: pays by his bank what the chain has queued, and gives his word on what the bank says.

    Raises:
        SettingsRefusedError: no bank, or not both of his keys.
    """
    settings = load_settings()
    configure_logs()
    container = Container(settings)
    if container.bank is None or container.house is None or container.custodian is None:
        raise SettingsRefusedError(
            "a custodian needs YUNDAN_BANK_URL, YUNDAN_HOUSE_NUMBER, YUNDAN_CUSTODIAN_KEY and "
            "YUNDAN_SECOND_CUSTODIAN_KEY"
        )
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        while not stopping.is_set():
            try:
                carry_out_payouts(container)
            except (YundanError, OperationalError) as error:
                _log.warning("custodian_put_off", why=type(error).__name__)
            if once:
                return
            stopping.wait(settings.poll_seconds)
    finally:
        container.close()


def configure_logs() -> None:
    """One JSON object a line on stderr; levels by name; no colours, no secrets (nobody logs a body)."""
    logging.getLogger("apscheduler").setLevel(
        logging.ERROR
    )  # a job that is still running is no news
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
