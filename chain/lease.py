"""One writer a key: whoever holds the lease gives out nonces, and a fence keeps a late one out.

The lease is a row. A holder that stalls past its time may wake up and go on; the token it then shows
is old, its database transaction fails, and no nonce is given out twice.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import Session, col, update

from chain.errors import ChainError
from chain.tables import WriterLeaseRow

if TYPE_CHECKING:
    from chain.clock import Clock
    from chain.ids import Address
    from chain.storage import Storage


_LEASES: sa.Table = WriterLeaseRow.__table__  # type: ignore[attr-defined]  # SQLModel sets it
_FENCE = (
    sa.update(_LEASES)
    .where(
        _LEASES.c.signer == sa.bindparam("signer_"),
        _LEASES.c.holder == sa.bindparam("holder_"),
        _LEASES.c.token == sa.bindparam("token_"),
    )
    .values(until=sa.bindparam("until"))
)


class LeaseLostError(ChainError):
    """Another writer has taken over this key; this one must not sign."""

    code = "lease_lost"


class WriterLease:
    """The lease of one key.

    Args:
        storage: where the row is.
        signer: the key's account.
        clock: the machine's time.
        seconds: how long a holder is believed after its last sign of life.
    """

    def __init__(
        self, storage: Storage, signer: Address, clock: Clock, *, seconds: float = 6.0
    ) -> None:
        self._storage = storage
        self._signer = signer
        self._clock = clock
        self._length = dt.timedelta(seconds=seconds)
        self.holder = f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}/{id(self)}"
        self._token: int | None = None
        self._until = dt.datetime.min.replace(tzinfo=dt.UTC)

    def hold(self) -> bool:
        """Takes or renews the lease; False while another holds it."""
        now = self._clock.now()
        if self._token is not None and self._until - now > self._length / 2:
            return True
        with self._storage.write() as session:
            row = session.get(WriterLeaseRow, self._signer, with_for_update=True)
            if row is None:
                row = WriterLeaseRow(signer=self._signer, holder=self.holder, token=1, until=now)
                session.add(row)
                try:
                    session.flush()
                except sa.exc.IntegrityError:  # another took it first
                    session.rollback()
                    return False
            elif row.holder != self.holder:
                if row.until > now and not _is_dead(row.holder):
                    self._token = None
                    return False
                row.holder, row.token = self.holder, row.token + 1
            row.until = now + self._length
            self._token, self._until = row.token, row.until
        return True

    def fence(self, session: Session) -> None:
        """Makes the database transaction fail unless the lease is still ours.

        Raises:
            LeaseLostError: it is not.
        """
        found = session.execute(
            _FENCE,
            {
                "signer_": self._signer,
                "holder_": self.holder,
                "token_": self._token,
                "until": self._clock.now() + self._length,
            },
        )
        if found.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
            self._token = None
            raise LeaseLostError("another writer holds this key now", signer=self._signer)

    def release(self) -> None:
        """Gives the lease back at once, at an orderly end."""
        if self._token is None:
            return
        with self._storage.write() as session:
            session.execute(
                update(WriterLeaseRow)
                .where(
                    col(WriterLeaseRow.signer) == self._signer,
                    col(WriterLeaseRow.holder) == self.holder,
                )
                .values(until=self._clock.now())
            )
        self._token = None


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks: tells it from a later one of the same number."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:  # noqa: PTH123  /proc is no tree to walk
            return file.read().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def _is_dead(holder: str) -> bool:
    """True if the holder is a process of this machine that is certainly gone."""
    host, pid, started, *_ = (*holder.split("/"), "", "", "")
    if host != socket.gethostname() or not pid.isdecimal() or not started:
        return False
    return _started(int(pid)) != started
