"""What the door hands on and what it is told back; frozen values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tracking import jt808

if TYPE_CHECKING:
    from tracking.fix import Fix
    from tracking.jt808 import Message


class Arrival(NamedTuple):
    """A message that must be durable, or needs the register of terminals, before it is answered.

    Attributes:
        connection: number of the connection, unique while the gateway runs.
        terminal_number: whom the connection has authenticated as, None before.
        terminal: phone of the message, without leading zeros.
        message_id: of JT/T 808.
        message: as read; None for a body that could not be read.
        payloads: the raw frames, escaped, without flags (several for a message in pieces).
        fixes: positions of the message that can be read.
        received: unix seconds UTC.
    """

    connection: int
    terminal_number: int | None
    terminal: str
    message_id: int
    message: Message | None
    payloads: tuple[bytes, ...]
    fixes: tuple[Fix, ...]
    received: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What to tell the terminal, now that everything is durable.

    Attributes:
        result: of 0x8001, or of 0x8100 for a registration.
        code: authentication code of a registration; never logged.
        terminal_number: whom the connection is authenticated as from now on, None if unchanged.
        reason: a word for the log where the result is not 0.
    """

    result: int
    code: str = ""
    terminal_number: int | None = None
    reason: str = ""


def unrecorded_answer(arrival: Arrival, terminal_number: int | None) -> Answer:
    """The answer to a message that needs no record: heartbeat, logout, or one we do not read."""
    if terminal_number is None:
        return Answer(jt808.ACK_FAILED, reason="not_authenticated")
    if arrival.message is None:
        return Answer(jt808.ACK_BAD_MESSAGE, reason="bad_message")
    if arrival.message_id in (jt808.HEARTBEAT, jt808.LOGOUT):
        return Answer(jt808.ACK_OK)
    return Answer(jt808.ACK_UNSUPPORTED, reason="unsupported")
