"""The custodian's process: his bank on one side, the payouts queued on chain on the other."""

from __future__ import annotations

import signal
import threading

import structlog
from sqlalchemy.exc import OperationalError

from api.bootstrap import Container
from api.jobs import carry_out_payouts
from api.startup import SettingsRefusedError, configure_logs, load_settings
from chain.errors import YundanError

_log = structlog.get_logger(__name__)


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
