"""Simulated JT/T 808 terminals on real sockets, so cheap that they leave the machine to what is measured.

Every fix is a message 0x0200 of its own, written when it is due, and every answer is read: it must name the serial
that is its turn and say 0. Escapes and checksums of header, serial and body are put together from tables, since
encoding each frame anew would cost more than the gateway's reading of it.

Run by ``bench_gateway``: ``python -m tests.benchmarks.terminals --port P``.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import select
import socket
import time
from collections import deque

from tests.benchmarks.road import ROADS, body_of
from tracking import jt808

FIRST_PHONE = 10_000_000_000
CODE = b"bench"
_MS = 60_000
_ESCAPED = [jt808.escape(bytes((byte,))) for byte in range(256)]


def phone_of(number: int) -> str:
    """The phone of a simulated terminal."""
    return str(FIRST_PHONE + number)


class Terminal:
    """One connection: what it has sent and not heard of yet."""

    __slots__ = ("flying", "head", "held", "road", "sent", "socket", "xor")

    def __init__(self, number: int, port: int) -> None:
        self.road = number % ROADS
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        phone = phone_of(number)
        self.socket.sendall(jt808.write_frame(jt808.AUTHENTICATE, phone, 0, CODE))
        head = b"\x02\x00" + len(body_of(0, 0)).to_bytes(2, "big") + bytes.fromhex(phone.zfill(12))
        self.head, self.xor = b"\x7e" + jt808.escape(head), jt808.checksum(head)
        self.sent = 1
        self.held = b""
        self.flying: deque[tuple[int, float]] = deque()


class Fleet:
    """All terminals and what became of their fixes."""

    def __init__(self, terminals: int, port: int, begins: int) -> None:
        self.begins = begins
        self.terminals = [Terminal(number, port) for number in range(terminals)]
        for one in self.terminals:
            answer = jt808.parse_frame(one.socket.recv(64)[1:-1])
            assert isinstance(answer, jt808.Frame), answer
            assert answer.body[-1] == 0, "a terminal was refused"
            one.socket.settimeout(0)
        self.poll = select.epoll()
        self.by_number = {one.socket.fileno(): one for one in self.terminals}
        for number in self.by_number:
            self.poll.register(number, select.EPOLLIN)
        self.bodies: list[list[tuple[bytes, int]]] = [[] for _ in range(ROADS)]
        self.acknowledged = self.refused = self.unanswered = 0
        self.waits = [0] * (_MS + 1)

    def send(self, one: Terminal) -> None:
        """The next fix of a terminal."""
        bodies = self.bodies[one.road]
        if len(bodies) < one.sent:
            body = body_of(one.road, len(bodies), self.begins)
            bodies.append((jt808.escape(body), jt808.checksum(body)))
        body, xor = bodies[one.sent - 1]
        serial = one.sent & 0xFFFF
        high, low = serial >> 8, serial & 255
        check = one.xor ^ high ^ low ^ xor
        frame = one.head + _ESCAPED[high] + _ESCAPED[low] + body + _ESCAPED[check] + b"\x7e"
        one.flying.append((serial, time.perf_counter()))
        one.sent += 1
        try:
            written = one.socket.send(frame)
        except BlockingIOError:
            written = 0
        if written < len(frame):
            raise RuntimeError("the gateway does not read")

    def listen(self, seconds: float) -> None:
        """Reads the answers that come within some seconds."""
        for number, _ in self.poll.poll(seconds, 4_096):
            one = self.by_number[number]
            data = one.socket.recv(65_536)
            assert data, "the gateway has closed a connection"
            now = time.perf_counter()
            parts = (one.held + data).split(b"\x7e")
            one.held = parts.pop()
            for part in parts:
                if part:
                    self._answered(one, part, now)

    def _answered(self, one: Terminal, part: bytes, now: float) -> None:
        ack = jt808.unescape(part) if b"\x7d" in part else part
        assert ack is not None
        serial, since = one.flying.popleft()
        assert ack[12] << 8 | ack[13] == serial, "answered out of turn"
        self.waits[min(int((now - since) * 1000), _MS)] += 1
        if ack[16]:
            self.refused += 1
        else:
            self.acknowledged += 1

    def quantile_ms(self, share: float) -> int:
        """So much of the answers came within so many milliseconds."""
        need, seen = share * sum(self.waits), 0
        for ms, count in enumerate(self.waits):
            seen += count
            if seen >= need:
                return ms + 1
        return _MS


def play(port: int, terminals: int, rate: int, seconds: float, begins: int) -> dict[str, float]:
    """Terminals that send so many fixes a second in all, each in its turn."""
    fleet = Fleet(terminals, port, begins)
    order = fleet.terminals.copy()
    random.Random(1).shuffle(order)
    time.sleep(0.5)
    began, sent, worst = time.perf_counter(), 0, 0.0
    while (elapsed := time.perf_counter() - began) < seconds:
        due = int(elapsed * rate)
        worst = max(worst, (due - sent) / rate)
        for at in range(sent, due):
            fleet.send(order[at % terminals])
        sent = due
        fleet.listen(0.005)
    while fleet.acknowledged + fleet.refused < sent and time.perf_counter() - began < seconds + 60:
        fleet.listen(0.05)
    took = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    for one in fleet.terminals:
        one.socket.close()
    return {
        "sent": sent,
        "acknowledged": fleet.acknowledged,
        "refused": fleet.refused,
        "unanswered": sent - fleet.acknowledged - fleet.refused,
        "rate": fleet.acknowledged / took,
        "p50_ms": fleet.quantile_ms(0.5),
        "p99_ms": fleet.quantile_ms(0.99),
        "late_s": worst,
        "cpu_us": (used.ru_utime + used.ru_stime) * 1e6 / max(sent, 1),
    }


def main() -> None:
    """Plays as told on the command line and prints what became of it."""
    parser = argparse.ArgumentParser()
    for name, kind in (
        ("port", int),
        ("terminals", int),
        ("rate", int),
        ("seconds", float),
        ("begins", int),
    ):
        parser.add_argument(f"--{name}", type=kind, required=True)
    print(json.dumps(play(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
