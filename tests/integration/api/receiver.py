"""A receiver of webhooks on this machine: a real socket that keeps what it is sent."""

from __future__ import annotations

import http.server
import threading


class Receiver:
    """Answers as it is told to; ``seen`` holds (headers, body) in the order of arrival."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                threading.Event().wait(outer.delay)
                self.send_response(outer.answers.pop(0) if outer.answers else 200)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"noted")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hooks"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
