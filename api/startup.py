"""What every process does first: its settings, read once and refused in one line, and its log."""

from __future__ import annotations

import logging
import sys

import structlog
from pydantic import ValidationError

from api.settings import Settings
from chain.errors import YundanError


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
