"""Orders to the demo: its pages write them down, its own process, which alone holds the parties' keys, plays them.

One JSON file an order and one for what became of it, in the run's folder; a demo only.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from chain.errors import NotFoundError

Mode = Literal["watch", "seat"]
"""``watch``: the demo's driver acts by himself. ``seat``: whoever holds the driver's phone acts."""

MOST_WAITING = 3
_NAME = re.compile(r"[0-9a-f]{16}")


class Orders:
    """The orders of one demo.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "orders"

    def place(self, kind: str, **facts: Any) -> str:
        """Writes an order down and gives its name; while many wait, the newest of them."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        waiting = self.list_waiting(kind)
        if len(waiting) >= MOST_WAITING:
            return waiting[-1][0]
        name = secrets.token_hex(8)
        self._write(name, "order", {"kind": kind, "number": self._count() + 1, **facts})
        return name

    def list_waiting(self, kind: str = "") -> list[tuple[str, dict[str, Any]]]:
        """Orders of which nothing is told yet, in the order they were given."""
        found = []
        for path in self._folder.glob("*.order.json"):
            name = path.name.partition(".")[0]
            order = self._read(name, "order")
            if self._read(name, "told") is None and order and kind in {"", order["kind"]}:
                found.append((name, order))
        return sorted(found, key=lambda one: one[1]["number"])

    def tell(self, name: str, **facts: Any) -> None:
        """Adds to what is known of an order."""
        self._write(name, "told", (self._read(name, "told") or {}) | facts)

    def get(self, name: str) -> Mapping[str, Any]:
        """An order with what became of it.

        Raises:
            NotFoundError: there is none.
        """
        order = self._read(name, "order") if _NAME.fullmatch(name) else None
        if order is None:
            raise NotFoundError("there is no such drive")
        return order | (self._read(name, "told") or {"stage": "waiting"})

    def _count(self) -> int:
        return len(list(self._folder.glob("*.order.json")))

    def _read(self, name: str, what: str) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads(
                (self._folder / f"{name}.{what}.json").read_text("utf-8")
            )
        except (OSError, ValueError):
            return None
        return content

    def _write(self, name: str, what: str, content: Mapping[str, Any]) -> None:
        path = self._folder / f"{name}.{what}.json"
        draft = path.with_suffix(".draft")
        draft.touch(0o600)
        draft.write_text(json.dumps(content), "utf-8")
        draft.replace(path)
