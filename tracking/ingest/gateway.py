"""The JT/T 808 door over TCP: sessions, limits and acknowledgements; it decides nothing about trips.

An acknowledgement (0x8001) leaves only after what it acknowledges is durable. Messages of all connections
wait in one queue; a worker thread takes what has gathered, in order, and hands it over in one database
transaction (group commit), so that a slow disk makes groups larger and never loses their order.

Everything a peer can make grow is bounded: connections, strangers (not yet authenticated), bytes waiting
for an end flag, unfinished pieces, messages waiting and their bytes, bytes it does not read, and time without a
word; each for one connection and for all together. A bad frame costs neither its connection nor its neighbour; a
stream of nothing but bad bytes is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from tracking import jt808
from tracking.ingest.arrivals import Answer, Arrival, unrecorded_answer
from tracking.ingest.session import GatewaySettings as GatewaySettings  # noqa: PLC0414  part of this door
from tracking.ingest.session import Session, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chain.clock import Clock

log = structlog.get_logger("tracking.gateway")

POSITIONS = frozenset(
    {jt808.LOCATION, jt808.BATCH, jt808.LOCATION_ANSWER, jt808.VEHICLE_CONTROL_ANSWER}
)
"""Messages that carry evidence."""


_CHUNK = 16 * 1024


class Gateway:
    """A server of terminals.

    Args:
        take: makes arrivals durable, in order, in one transaction, and says what to answer each; called
            in a worker thread, never twice at once. If it raises, nothing was kept and every terminal
            is told so (result 1), so that it sends again.
        clock: gives the instant of receipt: that at which a group is taken, never before it was sent.
        settings: where to listen and what a peer may cost.
    """

    def __init__(
        self,
        *,
        take: Callable[[Sequence[Arrival]], Sequence[Answer]],
        clock: Clock,
        settings: GatewaySettings | None = None,
    ) -> None:
        self.settings = settings or GatewaySettings()
        self.counts: Counter[str] = Counter()
        """What has happened since the start, by word; refusals as ``refused:CODE``."""
        # one buffer for all: asyncio reads into it and hands it over before it reads again
        self.buffer = memoryview(bytearray(_CHUNK))
        self._take = take
        self._clock = clock
        self._sessions: dict[int, Session] = {}
        self._strangers: dict[int, Session] = {}
        self._by_terminal: dict[int, Session] = {}
        self._queue: list[Waiting] = []
        self._queued_bytes = 0
        self._held_bytes = 0
        self._numbers = 0
        self._full = False
        self._stopping = False
        self._server: asyncio.Server | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._drainer: asyncio.Task[None] | None = None
        self._sweeper: asyncio.Task[None] | None = None

    # --- life ----------------------------------------------------------------------------------

    async def start(self) -> tuple[str, int]:
        """Begins to listen; the address, with the port that was chosen.

        Raises:
            OSError: the address cannot be listened on.
            ChainUnavailableError: the clock follows a chain that has never answered.
        """
        loop = asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="gateway")
        await loop.run_in_executor(self._worker, self._look_at_clock)
        self._server = await loop.create_server(
            self._new_session, self.settings.host, self.settings.port, backlog=1024
        )
        self._sweeper = loop.create_task(self._sweep())
        host, port = self._server.sockets[0].getsockname()[:2]
        log.info("gateway_listens", host=host, port=port)
        return host, port

    async def stop(self) -> None:
        """Stops listening and reading, makes durable and answers what has come in, closes."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        for session in list(self._sessions.values()):
            session.read(go_on=False)
        if self._drainer is not None:
            await self._drainer
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        for session in list(self._sessions.values()):
            session.close()
        for _ in range(100):  # what was written leaves first, but nobody may hold up the end
            if not self._sessions:
                break
            await asyncio.sleep(0.02)
        for session in list(self._sessions.values()):
            session.abort()
        await asyncio.sleep(0)
        if self._server is not None:
            await self._server.wait_closed()
        if self._worker is not None:
            self._worker.shutdown()
        log.info("gateway_stopped", **{k: v for k, v in self.counts.items() if ":" not in k})

    @property
    def sessions(self) -> int:
        """Connections now."""
        return len(self._sessions)

    @property
    def strangers(self) -> int:
        """Connections that have not authenticated yet."""
        return len(self._strangers)

    @property
    def waiting(self) -> int:
        """Messages that are not durable yet and not in the worker's hands."""
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the messages waiting, those in the worker's hands included."""
        return self._queued_bytes

    @property
    def piece_bytes(self) -> int:
        """Bytes of unfinished pieces of all connections, with what it takes to hold them."""
        return self._held_bytes

    # --- sessions ------------------------------------------------------------------------------

    def _new_session(self) -> Session:
        self._numbers += 1
        return Session(self, self._numbers, asyncio.get_running_loop().time())

    def joined(self, session: Session) -> None:
        """A connection was made."""
        self.counts["connections"] += 1
        if self._stopping or len(self._sessions) >= self.settings.most_connections:
            self.counts["connections_refused"] += 1
            session.abort()
            return
        if len(self._strangers) >= self.settings.most_strangers:
            self.counts["strangers_displaced"] += 1
            self._strangers.pop(next(iter(self._strangers))).abort()
        self._sessions[session.number] = session
        self._strangers[session.number] = session
        if self._full:
            session.read(go_on=False)

    def left(self, session: Session) -> None:
        """A connection is gone."""
        self._sessions.pop(session.number, None)
        self._strangers.pop(session.number, None)
        self._drop_pieces(session)
        number = session.terminal_number
        if number is not None and self._by_terminal.get(number) is session:
            del self._by_terminal[number]

    def _authenticated(self, session: Session, number: int) -> None:
        session.terminal_number = number
        self._strangers.pop(session.number, None)
        before = self._by_terminal.get(number)
        self._by_terminal[number] = session
        if before is not None and before is not session:
            # the newest wins: a terminal that lost its connection must not wait for the old one to expire
            self.counts["sessions_superseded"] += 1
            log.info("session_superseded", terminal=_masked(session.terminal))
            before.close()

    def _look_at_clock(self) -> int:
        """The instant at which a group is taken, in the worker: a clock that follows a chain may wait."""
        return int(self._clock.now().timestamp())

    async def _sweep(self) -> None:
        """Closes what is silent, asks for missing pieces."""
        settings = self.settings
        pause = max(0.05, min(1.0, settings.idle_s / 4, settings.login_s / 4))
        while True:
            await asyncio.sleep(pause)
            now = asyncio.get_running_loop().time()
            for session in list(self._sessions.values()):
                stranger = session.terminal_number is None
                if now - session.touched > settings.idle_s or (
                    stranger and now - session.opened > settings.login_s
                ):
                    if session.waiting:
                        continue
                    self.counts["sessions_expired"] += 1
                    session.abort()
                elif session.reassembler:
                    before = session.reassembler.held_bytes
                    session.reassembler.expire(int(now))
                    self._held_bytes += session.reassembler.held_bytes - before
                    for missing in session.reassembler.missing(int(now), settings.resend_after_s):
                        self.counts["pieces_asked"] += len(missing.pieces)
                        session.put(
                            jt808.RESEND_PIECES,
                            jt808.write_resend(missing.first_serial, missing.pieces),
                        )
                    session.flush()

    # --- what comes in -------------------------------------------------------------------------

    def received(self, session: Session, chunk: bytes) -> None:
        """Bytes from a peer."""
        now = asyncio.get_running_loop().time()
        skipped = session.splitter.skipped
        for payload in session.splitter.feed(chunk):
            frame = jt808.parse_frame(payload)
            if isinstance(frame, jt808.Refusal):
                self.counts[f"refused:{frame.code}"] += 1
                session.bad_bytes += len(payload)
                continue
            session.touched = now
            session.bad_bytes = 0
            self.counts["frames"] += 1
            self._frame(session, frame, payload, int(now))
        session.bad_bytes += session.splitter.skipped - skipped
        if session.bad_bytes > self.settings.most_bad_bytes:
            self.counts["sessions_cut"] += 1
            log.warning("session_cut", terminal=_masked(session.terminal), bytes=session.bad_bytes)
            session.abort()
            return
        session.flush()
        if session.leaving and not session.waiting:
            session.close()
            return
        self.regulate(session)

    def _frame(self, session: Session, frame: jt808.Frame, payload: bytes, now: int) -> None:
        if not session.terminal:
            session.terminal, session.phone = frame.terminal, frame.phone
            session.heard_as(frame)
        elif session.phone != frame.phone and session.terminal != frame.terminal:
            # a connection speaks for one terminal, else one stolen code would speak for all
            self.counts["refused:other_terminal"] += 1
            self._acknowledge(session, (frame.serial,), frame.message_id, jt808.ACK_FAILED)
            return
        session.heard_as(frame)
        if frame.message_id == jt808.TERMINAL_ACK:
            return  # an answer is not answered
        payloads: tuple[bytes, ...] = (payload,)
        serials: tuple[int, ...] = (frame.serial,)
        if frame.pieces and not frame.encryption:
            if session.terminal_number is None and not session.waiting:
                self._acknowledge(session, serials, frame.message_id, jt808.ACK_FAILED)
                return
            whole = self._piece(session, frame, payload, now)
            if whole is None:
                return
            frame, payloads, serials = whole
        message = jt808.read_message(frame)
        carries = frame.message_id in POSITIONS
        if isinstance(message, jt808.Refusal):
            self.counts[f"refused:{message.code}"] += 1
        waiting = Waiting(
            session,
            frame.message_id,
            None if isinstance(message, jt808.Refusal) else message,
            payloads if carries else (),
            serials,
            len(payload) if len(payloads) == 1 else sum(map(len, payloads)),
        )
        needs_records = carries or frame.message_id in (jt808.REGISTER, jt808.AUTHENTICATE)
        if not session.waiting and (
            not needs_records or (carries and session.terminal_number is None)
        ):
            arrival = waiting._replace(payloads=()).arrival(0, self.counts)
            self._answer(waiting, unrecorded_answer(arrival, session.terminal_number), 0)
            return
        session.waiting += 1
        session.waiting_bytes += waiting.size
        self._queued_bytes += waiting.size
        self._queue.append(waiting)
        self._drain()

    def _piece(
        self, session: Session, frame: jt808.Frame, payload: bytes, now: int
    ) -> tuple[jt808.Frame, tuple[bytes, ...], tuple[int, ...]] | None:
        if session.reassembler is None:
            session.reassembler = jt808.Reassembler(
                most_bytes=self.settings.piece_bytes, expiry_s=self.settings.pieces_expiry_s
            )
        before = session.reassembler.held_bytes
        done = session.reassembler.add(frame, now, payload)
        self._held_bytes += session.reassembler.held_bytes - before
        if done is None:
            if self._held_bytes > self.settings.most_piece_bytes:
                self.counts["pieces_dropped"] += 1
                self._drop_pieces(session)
            return None  # not acknowledged: it is not durable before the whole message is
        whole, pieces = done
        if not len(session.reassembler):
            session.reassembler = None
        return (
            whole,
            tuple(raw for _, raw in pieces),
            tuple(piece.serial for piece, _ in pieces),
        )

    def _drop_pieces(self, session: Session) -> None:
        if session.reassembler is not None:
            self._held_bytes -= session.reassembler.held_bytes
            session.reassembler = None

    # --- making durable, answering -------------------------------------------------------------

    def _drain(self) -> None:
        if self._drainer is None or self._drainer.done():
            self._drainer = asyncio.get_running_loop().create_task(self._drain_queue())

    async def _drain_queue(self) -> None:
        assert self._worker is not None
        loop = asyncio.get_running_loop()
        while self._queue:
            group = self._queue[: self.settings.most_group]
            del self._queue[: len(group)]
            arrivals: list[Arrival] = []
            try:
                received = await loop.run_in_executor(self._worker, self._look_at_clock)
                arrivals = [waiting.arrival(received, self.counts) for waiting in group]
                answers = await loop.run_in_executor(self._worker, self._take, arrivals)
                if len(answers) != len(group):
                    raise ValueError("an answer for each message is needed")  # noqa: TRY301  told below like any other failure
            except Exception:
                log.exception("group_failed", messages=len(group))
                self.counts["groups_failed"] += 1
                answers = [Answer(jt808.ACK_FAILED, reason="not_stored")] * len(group)
                await asyncio.sleep(0.2)  # a database in trouble is not asked in a tight loop
            self.counts["groups"] += 1
            for at, (waiting, answer) in enumerate(zip(group, answers, strict=True)):
                waiting.session.waiting -= 1
                waiting.session.waiting_bytes -= waiting.size
                self._queued_bytes -= waiting.size
                self._answer(waiting, answer, len(arrivals[at].fixes) if arrivals else 0)
            for session in {waiting.session for waiting in group}:
                session.flush()  # one write for all its answers
                if session.leaving:
                    session.close()
                elif session.stopped:
                    self.regulate(session)
            self.regulate(None)

    def _answer(self, waiting: Waiting, answer: Answer, fixes: int) -> None:
        session = waiting.session
        if answer.terminal_number is not None and session.transport is not None:
            self._authenticated(session, answer.terminal_number)
        if answer.result:
            self.counts[f"answered:{answer.reason or answer.result}"] += 1
            session.failures += 1
            if session.terminal_number is None and session.failures >= self.settings.most_failures:
                session.leaving = True
            if not session.told:  # once a session: a peer must not be able to flood the log
                session.told = True
                log.info(
                    "message_refused",
                    terminal=_masked(session.terminal),
                    message=f"0x{waiting.message_id:04x}",
                    reason=answer.reason,
                )
        else:
            self.counts["fixes"] += fixes
        if waiting.message_id == jt808.REGISTER:
            body = jt808.write_register_ack(waiting.serials[0], answer.result, answer.code)
            session.put(jt808.REGISTER_ACK, body)
            return
        self._acknowledge(session, waiting.serials, waiting.message_id, answer.result)
        if waiting.message_id == jt808.LOGOUT:
            session.leaving = True

    def _acknowledge(
        self, session: Session, serials: tuple[int, ...], message_id: int, result: int
    ) -> None:
        for serial in serials:
            session.put(jt808.PLATFORM_ACK, jt808.write_ack(serial, message_id, result))

    # --- not growing ---------------------------------------------------------------------------

    def regulate(self, session: Session | None) -> None:
        """Stops or resumes reading, from one peer or from all, by what waits."""
        settings = self.settings
        many = max(
            len(self._queue) / settings.most_waiting,
            self._queued_bytes / settings.most_waiting_bytes,
        )
        if not self._full and many > 1:
            self._full = True
            self.counts["stopped_reading"] += 1
            for one in self._sessions.values():
                one.read(go_on=False)
        elif self._full and many <= 0.5 and not self._stopping:
            self._full = False
            for one in list(self._sessions.values()):
                one.read(go_on=self._may_read(one))
        if session is not None and not self._full:
            session.read(go_on=self._may_read(session))

    def _may_read(self, session: Session) -> bool:
        if self._stopping or session.unread:
            return False
        most = self.settings.most_waiting_each
        if session.terminal_number is None:
            most = min(most, 8)
        # hysteresis, so that a busy terminal is not stopped and resumed with every message
        share = 2 if session.stopped else 1
        most_bytes = self.settings.most_waiting_bytes_each // share
        return session.waiting < most // share and session.waiting_bytes < most_bytes


def _masked(terminal: str) -> str:
    """The last four digits: enough to find it in our tables, too little to call it."""
    return f"…{terminal[-4:]}" if terminal else ""
