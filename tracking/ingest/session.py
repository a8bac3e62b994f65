"""One connection at the JT/T 808 door: what it has said, what it waits for, and what it may cost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from tracking import jt808
from tracking.ingest.arrivals import Arrival

if TYPE_CHECKING:
    from collections import Counter


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where to listen, and what a peer may cost.

    Attributes:
        host: address to listen on.
        port: port to listen on, 0 for any free one.
        most_connections: connections in all; further ones are refused.
        most_strangers: connections that have not authenticated; the oldest makes room for a new one.
        login_s: seconds a stranger has to authenticate.
        most_failures: messages refused to a stranger before he is closed, so that codes are not tried out.
        idle_s: seconds without a good frame after which a session is closed.
        most_bad_bytes: bytes of bad frames and garbage since the last good frame.
        most_waiting: messages waiting to become durable, in all; reading stops above.
        most_waiting_each: the same for one connection.
        most_waiting_bytes: bytes of messages waiting, in all; reading stops above.
        most_waiting_bytes_each: the same for one connection.
        most_group: messages made durable in one transaction.
        most_unread_bytes: acknowledgements the peer does not read; reading from it stops above.
        resend_after_s: seconds after which missing pieces are asked for (0x8003).
        piece_bytes: bytes of unfinished pieces of one connection.
        most_piece_bytes: the same in all; above it the connection that sends the next piece loses its own.
        pieces_expiry_s: seconds after which an unfinished message is given up.
    """

    host: str = "127.0.0.1"
    port: int = 0
    most_connections: int = 20_000
    most_strangers: int = 2_000
    login_s: float = 60.0
    most_failures: int = 20
    idle_s: float = 900.0
    most_bad_bytes: int = 64 * 1024
    most_waiting: int = 20_000
    most_waiting_each: int = 512
    most_waiting_bytes: int = 32 * 1024 * 1024
    most_waiting_bytes_each: int = 512 * 1024
    most_group: int = 4_000
    most_unread_bytes: int = 32 * 1024
    resend_after_s: int = 5
    piece_bytes: int = 128 * 1024
    most_piece_bytes: int = 64 * 1024 * 1024
    pieces_expiry_s: int = 300


class Waiting(NamedTuple):
    """A message of a connection that is not durable yet."""

    session: Session
    message_id: int
    message: jt808.Message | None
    payloads: tuple[bytes, ...]
    serials: tuple[int, ...]
    size: int

    def arrival(self, received: int, counts: Counter[str]) -> Arrival:
        """As the connection stands now: it may have authenticated while the message waited."""
        session, fixes = self.session, []
        if self.payloads and self.message is not None:
            late = isinstance(self.message, jt808.Batch) and self.message.late
            for location in jt808.locations_of(self.message):
                fix = (
                    location
                    if isinstance(location, jt808.Refusal)
                    else jt808.to_fix(
                        location, terminal=session.terminal, received=received, late=late
                    )
                )
                if isinstance(fix, jt808.Refusal):
                    counts[f"refused:{fix.code}"] += 1
                else:
                    fixes.append(fix)
        return Arrival(
            session.number,
            session.terminal_number,
            session.terminal,
            self.message_id,
            self.message,
            self.payloads,
            tuple(fixes),
            received,
        )


class Door(Protocol):
    """What a connection asks of the gateway that it belongs to."""

    settings: GatewaySettings
    buffer: memoryview

    def joined(self, session: Session) -> None:
        """A connection was made."""
        ...

    def left(self, session: Session) -> None:
        """A connection is gone."""
        ...

    def received(self, session: Session, chunk: bytes) -> None:
        """Bytes from a peer."""
        ...

    def regulate(self, session: Session | None) -> None:
        """Stops or resumes reading by what waits."""
        ...


class Session(asyncio.BufferedProtocol):
    """One connection: what it has said and what it still waits for."""

    __slots__ = (
        "_gateway",
        "_out",
        "_writer",
        "bad_bytes",
        "failures",
        "leaving",
        "number",
        "opened",
        "phone",
        "reassembler",
        "serial",
        "splitter",
        "stopped",
        "terminal",
        "terminal_number",
        "told",
        "touched",
        "transport",
        "unread",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self, gateway: Door, number: int, now: float) -> None:
        self._gateway = gateway
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.splitter = jt808.Splitter()
        self.reassembler: jt808.Reassembler | None = None
        self.terminal = ""
        self.phone = ""
        self._writer: jt808.FrameWriter | None = None
        self._out: list[bytes] = []
        self.terminal_number: int | None = None
        self.serial = 0
        self.waiting = self.waiting_bytes = 0
        self.bad_bytes = 0
        self.opened = self.touched = now
        self.stopped = False
        self.unread = False
        self.told = False
        self.leaving = False
        self.failures = 0

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once at the start."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=self._gateway.settings.most_unread_bytes)
        self._gateway.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Called once at the end."""
        self._gateway.left(self)
        self.transport = None

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Where to read into; what was read is handed over before the next call for any session."""
        return self._gateway.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have been read."""
        self._gateway.received(self, bytes(self._gateway.buffer[:nbytes]))

    def pause_writing(self) -> None:
        """The peer does not read what it is sent."""
        self.unread = True
        self._gateway.regulate(self)

    def resume_writing(self) -> None:
        """The peer reads again."""
        self.unread = False
        self._gateway.regulate(self)

    # what the gateway calls

    def heard_as(self, frame: jt808.Frame) -> None:
        """Answers in the form of header that the terminal uses."""
        if self._writer is None or self._writer.version_byte != frame.version_byte:
            self._writer = jt808.FrameWriter(frame.phone, frame.version_byte)

    def put(self, message_id: int, body: bytes) -> None:
        """Makes one message ready for the terminal; ``flush`` writes what is ready, at once."""
        if self._writer is not None:
            self._out.append(self._writer.frame(message_id, self.serial, body))
            self.serial = self.serial + 1 & 0xFFFF

    def flush(self) -> None:
        """Writes what is ready."""
        out, self._out = self._out, []
        if out and self.transport is not None and not self.transport.is_closing():
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def close(self) -> None:
        """Closes after what was written has left."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            self.transport.abort()

    def read(self, *, go_on: bool) -> None:
        """Stops or resumes reading from the peer."""
        if self.transport is None or self.transport.is_closing() or self.stopped is not go_on:
            return
        if go_on:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()
        self.stopped = not go_on
