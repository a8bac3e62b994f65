"""A party at its desk: its key, its API key, and a drawer in which every act is kept before it is sent.

The drawer makes a demo that was killed go on where it stood: an act that was written down is sent again
word for word, under the same Idempotency-Key, and the platform answers it once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from api.client import YundanClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chain.ids import PartyId
    from chain.ports import Signer


class Drawer:
    """Acts by name, each in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """What was written down under a name; made and written down the first time."""
        path = self._folder / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text("utf-8"))
        content = make()
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(content), "utf-8")
        draft.replace(path)
        return content

    def has(self, name: str) -> bool:
        """Whether something was written down under a name."""
        return (self._folder / f"{name}.json").exists()


class Desk:
    """One party.

    Args:
        url: the platform.
        handle: names the party in the demo.
        party: its id. signer: its key.
        drawer: where its acts are kept.
    """

    def __init__(
        self, url: str, handle: str, party: PartyId, signer: Signer, drawer: Drawer
    ) -> None:
        self.handle = handle
        self.party = party
        self.signer = signer
        self._url = url
        self._drawer = drawer
        self._client: YundanClient | None = None

    @property
    def client(self) -> YundanClient:
        """The connection, with an API key."""
        if self._client is None:
            token = self._drawer.keep(f"{self.handle}.key", self._open_key)
            self._client = YundanClient(
                self._url, signer=self.signer, party=self.party, token=token
            )
        return self._client

    def _open_key(self) -> str:
        with YundanClient(self._url, signer=self.signer, party=self.party) as stranger:
            return stranger.open_key(label="demo")

    def register(self, *, name_zh: str, name_en: str, kind: str) -> None:
        """Enrols the party; again changes nothing."""
        who = {"name_zh": name_zh, "name_en": name_en, "kind": kind}
        with YundanClient(self._url, signer=self.signer, party=self.party) as stranger:

            def prepare() -> dict[str, Any]:
                asked = who | {"key": self.signer.address, "party": str(self.party)}
                form = stranger.post("/v1/parties/form", asked)
                return stranger.sign(form["to_sign"]) | who | {"profile_salt": form["profile_salt"]}

            body = self._drawer.keep(f"{self.handle}.registration", prepare)
            stranger.post("/v1/parties", body, once=f"{self.handle}.registration")

    def act(self, name: str, path: str, **query: Any) -> dict[str, Any]:
        """Gets the form at a path, signs it, writes it down, and posts it there; once for each name."""
        body = self._drawer.keep(
            name, lambda: self.client.sign(self.client.get(path, **query)["to_sign"])
        )
        return self.client.post(path, body, once=name)

    def send(self, name: str, path: str, make: Callable[[], Any]) -> dict[str, Any]:
        """Makes a body, writes it down, and posts it; once for each name."""
        return self.client.post(path, self._drawer.keep(name, make), once=name)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """What stands at a path."""
        return self.client.get(path, **query)

    def close(self) -> None:
        """Closes the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None
