"""A proxy before a node that does to answers what bad networks and bad nodes do."""

from __future__ import annotations

import http.server
import json
import random
import threading
import time
from dataclasses import dataclass, fields

import requests


@dataclass(frozen=True, slots=True)
class Chaos:
    """How often (of 1) a request meets each fault.

    Attributes:
        drop_before: nothing reaches the node. lose_answer: the node acts, its answer is lost.
        send_twice: the node is told twice. delay: the answer comes up to ``slow_s`` later.
        corrupt: hex digits of the answer are changed. cut: its end is missing.
        stale: "latest" is answered for a block three below the head. shuffle: a batch in another order.
        refuse: a page of HTML with 429, 502 or 503 instead of an answer.
        hang_up: the connection ends in the middle of a promised body.
        item_error: one answer (of a batch, or the only one) is an error of JSON-RPC.
        item_null: one answer is null, as from a node of a pool that lags behind.
        remember: the answer that the same question got the first time, as from a careless cache.
    """

    drop_before: float = 0.08
    lose_answer: float = 0.08
    send_twice: float = 0.05
    delay: float = 0.05
    corrupt: float = 0.02
    cut: float = 0.02
    stale: float = 0.03
    shuffle: float = 0.05
    refuse: float = 0.02
    hang_up: float = 0.02
    item_error: float = 0.02
    item_null: float = 0.02
    remember: float = 0.02
    slow_s: float = 1.0


QUIET = Chaos(*(0.0 for _ in fields(Chaos)))


class ChaosProxy:
    """An HTTP server that forwards to a node, not always faithfully."""

    def __init__(self, target: str, chaos: Chaos, seed: int) -> None:
        self.target = target
        self.chaos = chaos
        self.done: dict[str, int] = {}
        self.pause_s = 0.0
        """Seconds by which every answer comes late, after the node has done what it was told."""
        self._first: dict[str, dict] = {}
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        proxy = self

        class Door(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer, promised = proxy.pass_on(raw)
                if answer is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(promised))
                self.end_headers()
                self.wfile.write(answer)
                self.close_connection = promised != len(answer)

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that was killed in the middle is the point of it all."""

        self._server = Server(("127.0.0.1", 0), Door)
        self._sessions = threading.local()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def pass_on(self, raw: bytes) -> tuple[int, bytes | None, int]:
        """What the client gets: status, body and the length that is promised; no body: hung up at once."""
        with self._lock:
            roll = {f.name: self._random.random() for f in fields(Chaos) if f.name != "slow_s"}
            seed = self._random.random()
        hit = {name: value < getattr(self.chaos, name) for name, value in roll.items()}
        for name, is_hit in hit.items():
            if is_hit:
                self.done[name] = self.done.get(name, 0) + 1
        rng = random.Random(seed)
        nothing = (0, None, 0)
        if hit["drop_before"]:
            return nothing
        if hit["refuse"]:
            page = b"<html><body>try again later</body></html>"
            return rng.choice([429, 502, 503]), page, len(page)
        if hit["delay"]:
            time.sleep(rng.random() * self.chaos.slow_s)
        if hit["stale"]:
            raw = self._make_stale(raw)
        answer = self._ask(raw)
        time.sleep(self.pause_s)
        if hit["send_twice"]:
            answer = self._ask(raw)
        if answer is None or hit["lose_answer"]:
            return nothing
        answer = self._recall(raw, answer, use=hit["remember"])
        if hit["item_error"] or hit["item_null"]:
            answer = _spoiled(answer, rng, null=hit["item_null"])
        if hit["shuffle"]:
            answer = _shuffled(answer, rng)
        if hit["corrupt"]:
            answer = _corrupted(answer, rng)
        if hit["cut"]:
            answer = answer[: rng.randrange(len(answer) + 1)]
        if hit["hang_up"]:
            return 200, answer[: rng.randrange(len(answer) + 1)], len(answer) + 1
        return 200, answer, len(answer)

    def _recall(self, raw: bytes, answer: bytes, *, use: bool) -> bytes:
        """Keeps the first answer to each question; gives it under the ids of now if ``use``."""
        asked, said = json.loads(raw), json.loads(answer)
        if isinstance(asked, list) != isinstance(said, list):
            return answer
        questions = asked if isinstance(asked, list) else [asked]
        answers = {one.get("id"): one for one in (said if isinstance(said, list) else [said])}
        old = []
        for one in questions:
            key = json.dumps([one["method"], one["params"]])
            if len(self._first) < 10_000 and one["id"] in answers:
                self._first.setdefault(key, answers[one["id"]])
            old.append(self._first.get(key, answers.get(one["id"], {})) | {"id": one["id"]})
        return json.dumps(old if isinstance(asked, list) else old[0]).encode() if use else answer

    def _ask(self, raw: bytes) -> bytes | None:
        session = getattr(self._sessions, "one", None)
        if session is None:
            session = self._sessions.one = requests.Session()
        try:
            return bytes(
                session.post(
                    self.target,
                    data=raw,
                    headers={"Content-Type": "application/json"},
                    timeout=10,
                ).content
            )
        except requests.RequestException:
            return None

    def _make_stale(self, raw: bytes) -> bytes:
        """Asks for an older head than the latest, as a node behind a balancer would answer."""
        try:
            head = json.loads(
                self._ask(b'{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}') or b""
            )
            old = hex(max(int(head["result"], 16) - 3, 0))
        except (ValueError, KeyError):
            return raw
        return raw.replace(b'"latest"', json.dumps(old).encode())

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _spoiled(answer: bytes, rng: random.Random, *, null: bool) -> bytes:
    """One answer replaced by an error as nodes give them, or by nothing."""
    body = json.loads(answer)
    one = rng.choice(body) if isinstance(body, list) and body else body
    if isinstance(one, dict):
        number = one.get("id")
        one.clear()
        one |= {"jsonrpc": "2.0", "id": number}
        errors = [
            (-32603, "internal error"),
            (-32005, "limit exceeded"),
            (-32000, "header not found"),
        ]
        code, text = rng.choice(errors)
        one |= {"result": None} if null else {"error": {"code": code, "message": text}}
    return json.dumps(body).encode()


def _shuffled(answer: bytes, rng: random.Random) -> bytes:
    body = json.loads(answer)
    if isinstance(body, list):
        rng.shuffle(body)
    return json.dumps(body).encode()


def _corrupted(answer: bytes, rng: random.Random) -> bytes:
    """One to three hex digits changed: still JSON, still plausible."""
    body = bytearray(answer)
    digits = [at for at, byte in enumerate(body) if chr(byte) in "0123456789abcdef"]
    for _ in range(rng.randint(1, 3)):
        body[rng.choice(digits)] = ord(rng.choice("0123456789abcdef"))
    return bytes(body)
