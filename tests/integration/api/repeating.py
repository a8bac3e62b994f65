"""A client that sends every write again: the same gets the same answer, another body is refused."""

from __future__ import annotations

import threading
from typing import Any

from fastapi.testclient import TestClient

from api.dependencies import SAFE


class Repeating(TestClient):
    """Proves of each write that succeeds that it happens once; ``proved`` tells of which.

    What the repetitions did is seen by the answers: a write that were done again would answer otherwise (another
    id, salt or instant) and without ``Idempotent-Replayed``.
    """

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self.proved: set[tuple[str, str]] = set()
        self.wrong: list[str] = []
        self._again = threading.local()

    def request(self, method: str, url: Any, **options: Any) -> Any:
        """Sends a request; a write under an Idempotency-Key twice more."""
        answer = super().request(method, url, **options)
        headers = {
            name.lower(): value for name, value in dict(options.get("headers") or {}).items()
        }
        if getattr(self._again, "on", False) or not answer.is_success or method in SAFE:
            return answer
        if "idempotency-key" not in headers or answer.headers.get("idempotent-replayed"):
            return answer
        self._again.on = True
        try:
            self._repeat(answer, method, url, options)
        finally:
            self._again.on = False
        return answer

    def _repeat(self, answer: Any, method: str, url: Any, options: dict[str, Any]) -> None:
        content = answer.request.content
        plain = {
            name: value
            for name, value in options.items()
            if name not in {"json", "data", "content"}
        }
        plain["headers"] = dict(plain["headers"]) | {
            "Content-Type": answer.request.headers.get("content-type", "")
        }
        same = super().request(method, url, content=content, **plain)
        other = super().request(method, url, content=content + b" ", **plain)
        where = f"{method} {url}"
        if (same.status_code, same.content) != (answer.status_code, answer.content):
            self.wrong.append(
                f"{where}: the same was answered {same.status_code} {same.text[:200]}"
            )
        if same.headers.get("idempotent-replayed") != "true":
            self.wrong.append(f"{where}: the same was done again")
        if other.status_code != 422 or other.json().get("code") != "idempotency_key_reused":
            self.wrong.append(
                f"{where}: another body was answered {other.status_code} {other.text[:200]}"
            )
        self.proved.add((method, str(answer.request.url.path)))
