"""Starts the sandbox bank."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import uvicorn

from chain.clock import SystemClock, require_utc
from deploy.bank.app import create_bank
from deploy.bank.errors import BankDoorError
from deploy.bank.house import HOUSE, joining
from deploy.bank.store import BankStore

if TYPE_CHECKING:
    from pathlib import Path

LOCAL_HOSTS: Final = ("127.0.0.1", "::1", "localhost")


def run_bank(
    host: str,
    port: int,
    store_path: Path,
    *,
    starts_at: dt.datetime | None = None,
    token: str = "",
    opens_house: bool = True,
) -> None:
    """Serves the bank until the process is told to end; its books stay in the file.

    The settings that join a system to this bank are printed first.

    Args:
        host: address to listen on.
        port: port to listen on.
        store_path: SQLite file of the books, made if it is not there.
        starts_at: the bank's time as a new bank opens; left out, it is the machine's.
        token: bearer token that every request must carry; "" asks for none.
        opens_house: whether the custodian's account is opened, empty, if it is not there yet.

    Raises:
        BankDoorError: it would be open to other machines without a token.
    """
    if host not in LOCAL_HOSTS and not token:
        raise BankDoorError(
            "a bank that other machines can reach needs --token-file", field="token_file"
        )
    store = BankStore(store_path, SystemClock())
    if starts_at is not None:
        store.set_clock(starts_at, anyway=True)
    if opens_house:
        store.open_account(HOUSE)
    told = " ".join(f"{name}={value}" for name, value in joining(host, port).items())
    print(f"join a system to this bank by: {told}", flush=True)
    try:
        uvicorn.run(
            create_bank(store, token=token),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=5,
        )
    finally:
        store.close()


def parse_start(text: str) -> dt.datetime | None:
    """The instant of an RFC 3339 text; None of an empty one.

    Raises:
        BankDoorError: it is none.
    """
    if not text:
        return None
    try:
        return require_utc(dt.datetime.fromisoformat(text))
    except ValueError as error:
        raise BankDoorError(
            "--starts-at is an instant like 2026-01-26T15:50:00Z", field="starts_at"
        ) from error


def read_token(path: Path | None) -> str:
    """The token in a file; "" without one.

    Raises:
        BankDoorError: it cannot be read, or is too short to be a secret.
    """
    if path is None:
        return ""
    try:
        token = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise BankDoorError("the token file cannot be read", field="token_file") from error
    if len(token) < 32:
        raise BankDoorError("a token has at least 32 characters", field="token_file")
    return token
