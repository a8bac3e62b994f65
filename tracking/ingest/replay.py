"""A terminal played from recorded fixes over TCP: registers, authenticates, sends, waits for every ack.

The other end of the gateway, for the demo and for trying a platform; it works against any JT/T 808 server.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from chain.errors import YundanError
from tracking import jt808
from tracking.files import read_fixes
from tracking.track import fixes_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tracking.fix import Fix


class ReplayError(YundanError):
    """The server did not do what a terminal needs."""

    code = "replay_failed"


@dataclass(frozen=True, slots=True)
class Device:
    """What a terminal says of itself when it registers.

    Attributes:
        variant: 2011, 2013 or 2019; the last has its own header.
        auth_code: known beforehand; "" to register (0x0100) and be given one.
    """

    variant: int = 2019
    manufacturer: str = "YUNDAN"
    model: str = "REPLAY"
    terminal_id: str = "R000001"
    plate_color: int = 2
    plate: str = ""
    auth_code: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast to play.

    Attributes:
        speed_up: seconds of the record that pass in one second; 0 for as fast as acknowledgements allow.
        batch: fixes in one message: 1 sends 0x0200, more send 0x0704.
        late: mark batches as sent later from a blind area.
        window: messages in flight before the oldest must be acknowledged.
        timeout_s: seconds to wait for an answer before sending again.
        tries: times a message is sent before giving up.
    """

    speed_up: float = 0.0
    batch: int = 1
    late: bool = False
    window: int = 16
    timeout_s: float = 10.0
    tries: int = 5


@dataclass(frozen=True, slots=True)
class Played:
    """What a replay did.

    Attributes:
        fixes: fixes acknowledged.
        messages: messages that carried them.
        sent_again: messages sent more than once.
        refused: fixes that the form cannot carry (a time before 2000, a place off the Earth).
        seconds: wall time.
        slowest_ack_s: longest time from sending to acknowledgement.
    """

    fixes: int
    messages: int
    sent_again: int
    refused: int
    seconds: float
    slowest_ack_s: float


class TerminalClient:
    """One connection as a terminal has it. Use ``connect`` as an async context manager."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, phone: str, device: Device
    ) -> None:
        self.phone = phone
        self.device = device
        self._reader, self._writer = reader, writer
        self._version_byte = 1 if device.variant == 2019 else None
        self._serial = 0
        self._answers: dict[int, asyncio.Future[jt808.Ack | jt808.RegisterAck]] = {}
        self._sent: dict[int, bytes] = {}
        self._listener = asyncio.get_running_loop().create_task(self._listen())

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(
        cls, host: str, port: int, phone: str, device: Device | None = None
    ) -> AsyncIterator[TerminalClient]:
        """Connects; closes at the end.

        Raises:
            ReplayError: nobody listens there.
        """
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise ReplayError(f"nobody listens on {host}:{port}", field="to") from error
        client = cls(reader, writer, phone, device or Device())
        try:
            yield client
        finally:
            await client.close()

    async def close(self) -> None:
        """Closes the connection."""
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError, ReplayError):
            await self._listener
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _listen(self) -> None:
        splitter = jt808.Splitter()
        try:
            while chunk := await self._reader.read(64 * 1024):
                for payload in splitter.feed(chunk):
                    self._hear(payload)
        except ConnectionError:
            pass
        finally:
            for future in self._answers.values():
                if not future.done():
                    future.set_exception(ReplayError("the server closed the connection"))

    def _hear(self, payload: bytes) -> None:
        frame = jt808.parse_frame(payload)
        if isinstance(frame, jt808.Refusal):
            return
        message = jt808.read_message(frame)
        if isinstance(message, jt808.Ack | jt808.RegisterAck):
            future = self._answers.get(message.reply_serial)
            if future is not None and not future.done():
                future.set_result(message)
        elif isinstance(message, jt808.ResendPieces):
            for piece in message.pieces:
                data = self._sent.get(message.first_serial + piece - 1 & 0xFFFF)
                if data:
                    self._writer.write(data)

    def send(self, message_id: int, body: bytes) -> _Sending:
        """Writes a message; a long body goes in pieces."""
        frames = jt808.write_message(
            message_id, self.phone, self._serial, body, version_byte=self._version_byte
        )
        serials = [self._serial + i & 0xFFFF for i in range(len(frames))]
        self._serial = self._serial + len(frames) & 0xFFFF
        loop = asyncio.get_running_loop()
        for serial, data in zip(serials, frames, strict=True):
            self._answers[serial] = loop.create_future()
            self._sent[serial] = data
        sending = _Sending(self, serials, loop.time())
        sending.write()
        return sending

    async def ask(
        self, message_id: int, body: bytes = b"", *, timeout_s: float = 10.0, tries: int = 5
    ) -> jt808.Ack | jt808.RegisterAck:
        """Sends a message and waits for its answer.

        Raises:
            ReplayError: no answer after all tries, or the connection was closed.
        """
        return await self.send(message_id, body).answer(timeout_s, tries)

    async def log_in(self) -> str:
        """Registers unless a code is known, then authenticates; the code in use.

        Raises:
            ReplayError: the server refuses the terminal; says how.
        """
        code = self.device.auth_code
        if not code:
            register = jt808.Register(
                self.device.variant,
                0,
                0,
                self.device.manufacturer,
                self.device.model,
                self.device.terminal_id,
                self.device.plate_color,
                self.device.plate,
            )
            answer = await self.ask(jt808.REGISTER, jt808.write_register(register))
            if not isinstance(answer, jt808.RegisterAck) or answer.result != jt808.REGISTERED:
                meaning = {1: "vehicle registered before", 2: "vehicle unknown",
                           3: "terminal registered before with another device",
                           4: "terminal unknown"}.get(answer.result, "refused")  # fmt: skip
                raise ReplayError(
                    f"the server refuses to register {self.phone}: {meaning}",
                    field="terminal",
                    result=answer.result,
                )
            code = answer.code
        body = jt808.write_authentication(code, is_2019=self._version_byte is not None)
        answer = await self.ask(jt808.AUTHENTICATE, body)
        if answer.result:
            raise ReplayError(
                f"the server refuses to authenticate {self.phone}",
                field="terminal",
                result=answer.result,
            )
        return code

    async def log_out(self) -> None:
        """Says good-bye (0x0003); a server that just closes is fine."""
        with contextlib.suppress(ReplayError):
            await self.ask(jt808.LOGOUT, tries=1)


class _Sending:
    """A message on its way: its pieces and when it was written."""

    def __init__(self, client: TerminalClient, serials: list[int], at: float) -> None:
        self._client, self._serials, self._at = client, serials, at
        self.again = 0
        self.took_s = 0.0

    def write(self) -> None:
        for serial in self._serials:
            if not self._client._answers[serial].done():  # noqa: SLF001  one thing in two classes
                self._client._writer.write(self._client._sent[serial])  # noqa: SLF001  one thing in two classes

    async def answer(self, timeout_s: float, tries: int) -> jt808.Ack | jt808.RegisterAck:
        client = self._client
        futures = [client._answers[serial] for serial in self._serials]  # noqa: SLF001  one thing in two classes
        try:
            for attempt in range(tries):
                if attempt:
                    self.again += 1
                    self.write()
                _, missing = await asyncio.wait(futures, timeout=timeout_s)
                if not missing:
                    self.took_s = asyncio.get_running_loop().time() - self._at
                    answers = [future.result() for future in futures]
                    return max(answers, key=lambda one: one.result)
            raise ReplayError(f"no acknowledgement after {tries} tries of {timeout_s:g} s")
        finally:
            for serial, future in zip(self._serials, futures, strict=True):
                if client._answers.get(serial) is future:  # noqa: SLF001  one thing in two classes
                    del client._answers[serial], client._sent[serial]  # noqa: SLF001  one thing in two classes
                if future.done() and not future.cancelled():
                    future.exception()  # looked at, so that asyncio does not warn


async def replay(
    fixes: Sequence[Fix],
    *,
    host: str,
    port: int,
    phone: str,
    device: Device | None = None,
    pace: Pace | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Played:
    """Plays fixes as a terminal would, in the order of their own clock, until all are acknowledged.

    Args:
        fixes: what to play.
        host: where the platform listens.
        port: its port.
        phone: terminal phone, digits.
        device: what the terminal says of itself.
        pace: how fast.
        on_progress: told the number of fixes acknowledged so far.

    Raises:
        ReplayError: nobody listens, the terminal is refused, a message is refused, or the server falls
            silent; the message says which.
    """
    pace = pace or Pace()
    if not phone.isdecimal() or len(phone) > 20:
        raise ReplayError("a terminal phone has 1 to 20 digits", field="terminal", given=phone[:40])
    loop = asyncio.get_running_loop()
    begin = loop.time()
    ordered = sorted(fixes, key=lambda fix: fix.time)
    sayable = [fix for fix in ordered if _sayable(fix)]
    messages = [sayable[i : i + pace.batch] for i in range(0, len(sayable), max(pace.batch, 1))]
    done = again = 0
    slowest = 0.0
    async with TerminalClient.connect(host, port, phone, device) as client:
        await client.log_in()
        started = loop.time()
        flying: list[tuple[_Sending, int]] = []

        async def settle() -> None:
            nonlocal done, again, slowest
            sending, count = flying.pop(0)
            answer = await sending.answer(pace.timeout_s, pace.tries)
            if answer.result:
                raise ReplayError("the server refuses a position", result=answer.result)
            done += count
            again += sending.again
            slowest = max(slowest, sending.took_s)
            if on_progress is not None:
                on_progress(done)

        for group in messages:
            if pace.speed_up > 0:
                due = started + (group[-1].time - sayable[0].time) / pace.speed_up
                await asyncio.sleep(max(0.0, due - loop.time()))
            if pace.batch > 1:
                body = jt808.write_batch(group, late=pace.late)
                flying.append((client.send(jt808.BATCH, body), len(group)))
            else:
                flying.append((client.send(jt808.LOCATION, jt808.write_location(group[0])), 1))
            while len(flying) >= max(pace.window, 1):
                await settle()
        while flying:
            await settle()
        await client.log_out()
    return Played(
        done, len(messages), again, len(ordered) - len(sayable), loop.time() - begin, slowest
    )


def _sayable(fix: Fix) -> bool:
    try:
        jt808.write_location(fix)
    except ValueError:
        return False
    return True


def replay_file(
    path: Path, *, terminal: str, to: str, plate: str = "", speed: float = 0.0
) -> dict[str, Any]:
    """Plays a CSV file of fixes: what ``yundan track replay`` does and prints.

    Args:
        path: FIXES.csv.
        terminal: the phone to play; a terminal named in the file does not count.
        to: ``HOST:PORT`` of the gateway.
        plate: plate to register with.
        speed: times real time, 0 for as fast as the gateway acknowledges.

    Raises:
        ReplayError: the address is none, or what ``replay`` says.
        FileError: the file is not one of fixes; names line and column.
    """
    host, _, port = to.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise ReplayError(f"{to[:80]!r} is not HOST:PORT", field="to")
    if not speed >= 0:
        raise ReplayError("the speed is 0 or more", field="speed", given=speed)
    phone = terminal.strip()
    device = Device(variant=2019 if len(jt808.normalised(phone)) > 12 else 2013, plate=plate)
    fixes = fixes_of(read_fixes(path))
    played = asyncio.run(
        replay(
            fixes, host=host, port=int(port), phone=phone, device=device, pace=Pace(speed_up=speed)
        )
    )
    return {"terminal": jt808.normalised(phone), "to": to, "given": len(fixes), **asdict(played)}
