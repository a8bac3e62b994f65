"""One party's conversation with the API: its key stays here, only signatures travel.

Nothing is signed blindly: what the server prepares is rebuilt from the definitions that this package was
shipped with, and a form it does not know, or one for another chain, is refused.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, cast

import httpx2

from api.key_request import ApiKeyRequest, Scope
from api.schemas.signing import read_message
from chain.abi import Struct
from chain.bindings import structs
from chain.errors import YundanError
from chain.ids import Address, PartyId
from chain.ports import Domain, Signer
from chain.typed_data import struct_types, typed_message
from finance.payout_accounts import AccountConsent

TRIES = 5
"""How often a request is sent while the server is busy or away; safe, for its key stays the same."""

FIRST_PAUSE_S = 0.2


class ClientError(YundanError):
    """The API refused, or cannot be reached."""

    code = "client_error"

    def __init__(self, message: str, *, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(message, field=str(problem.get("field", "")), status=status)
        self.status = status
        self.problem = dict(problem)

    @property
    def reason(self) -> str:
        """The server's stable code; empty where it could not be reached."""
        return str(self.problem.get("code", ""))


class NotSignedError(YundanError):
    """The form is not what this client was asked to sign."""

    code = "not_signed"


class YundanClient:
    """A party's client.

    Args:
        base_url: of the API, without /v1.
        signer: the party's key.
        party: the party; may be left out until ``register``.
        token: an API key from before; else ``open_key`` gets one.
        http: a client to use instead of a new one (tests).
    """

    def __init__(
        self,
        base_url: str,
        *,
        signer: Signer,
        party: PartyId | None = None,
        token: str = "",
        http: httpx2.Client | None = None,
    ) -> None:
        self._http = http or httpx2.Client(base_url=base_url, timeout=30)
        self._signer = signer
        self._token = token
        self.party = party

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connection back."""
        self._http.close()

    # -- the wire -----------------------------------------------------------------------------

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """What stands at a path.

        Raises:
            ClientError: the API refused or cannot be reached.
        """
        given = {name: value for name, value in query.items() if value is not None}
        return self._send("GET", path, params=given)

    def walk(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Every object of a list, page after page.

        Raises:
            ClientError: the server refuses.
        """
        while True:
            page = self.get(path, **query)
            yield from page["data"]
            if not page["has_more"]:
                return
            query["starting_after"] = page["next_cursor"]

    def post(self, path: str, body: Any = None, *, once: str = "") -> dict[str, Any]:
        """Sends a write under an Idempotency-Key.

        Args:
            path: where to.
            body: JSON.
            once: the Idempotency-Key; a new one unless given. Give your own to survive a restart.
        """
        return self._send("POST", path, json=body, once=once or secrets.token_hex(16))

    def post_file(
        self, path: str, content: bytes, *, content_type: str = "text/csv", once: str = ""
    ) -> dict[str, Any]:
        """Sends a file."""
        return self._send(
            "POST",
            path,
            content=content,
            content_type=content_type,
            once=once or secrets.token_hex(16),
        )

    def patch(self, path: str, body: Any, *, once: str = "") -> dict[str, Any]:
        """Changes what stands at a path, under an Idempotency-Key as every write."""
        return self._send("PATCH", path, json=body, once=once or secrets.token_hex(16))

    def delete(self, path: str, *, once: str = "") -> dict[str, Any]:
        """Ends what stands at a path, under an Idempotency-Key as every write."""
        return self._send("DELETE", path, once=once or secrets.token_hex(16))

    def _send(
        self, method: str, path: str, *, once: str = "", content_type: str = "", **options: Any
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if once:
            headers["Idempotency-Key"] = once
        if content_type:
            headers["Content-Type"] = content_type
        pause = FIRST_PAUSE_S
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._http.request(method, path, headers=headers, **options)
            except httpx2.TransportError as error:
                if attempt == TRIES:
                    raise ClientError(
                        f"the API cannot be reached: {type(error).__name__}", status=0, problem={}
                    ) from error
            else:
                if answer.status_code != 503 or attempt == TRIES:
                    return _read(answer)
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")

    # -- signing ------------------------------------------------------------------------------

    def sign(self, to_sign: Mapping[str, Any]) -> dict[str, Any]:
        """Signs what the server has prepared: the body to post back.

        Args:
            to_sign: the ``to_sign`` of an answer.

        Raises:
            NotSignedError: the form is unknown here, altered, or speaks for another party.
        """
        name = str(to_sign["primaryType"])
        own = {form.__name__: form for form in (ApiKeyRequest, AccountConsent)}
        kind = own.get(name) or getattr(structs, name, None)
        if not (isinstance(kind, type) and issubclass(kind, Struct)):
            raise NotSignedError(f"this client knows no form {name}")
        ours = struct_types(kind.EIP712)
        theirs = {key: value for key, value in to_sign["types"].items() if key != "EIP712Domain"}
        if theirs != ours:
            raise NotSignedError(f"the server's {name} is not the one this client knows")
        form = read_message(kind, dict(to_sign["message"]))
        domain = Domain(
            chain_id=int(to_sign["domain"]["chainId"]),
            verifying_contract=Address(str(to_sign["domain"]["verifyingContract"])),
        )
        return self._signed(form, domain)

    def _signed(self, form: Struct, domain: Domain) -> dict[str, Any]:
        signature = self._signer.sign_typed_data(form, domain)
        return {
            "message": typed_message(form, domain)["message"],
            "signature": "0x" + signature.hex(),
        }

    def post_signed(
        self, path: str, form: Struct, domain: Domain, *, once: str = ""
    ) -> dict[str, Any]:
        """Signs a form of one's own making and posts it."""
        return self.post(path, self._signed(form, domain), once=once)

    def act(self, path: str, *, once: str = "", **query: Any) -> dict[str, Any]:
        """Gets the form that stands at a path, signs it and posts it back to the same path.

        Args:
            path: e.g. ``/v1/deliveries/0x.../confirmation``.
            once: Idempotency-Key of the post.
            query: what the form is to say, e.g. ``accepted_milli=11_880``.
        """
        return self.post(path, self.sign(self.get(path, **query)["to_sign"]), once=once)

    # -- the usual ways -----------------------------------------------------------------------

    def register(
        self, *, name_zh: str, name_en: str, kind: str, party: PartyId | None = None
    ) -> dict[str, Any]:
        """Enrols this key as a party."""
        who = {"name_zh": name_zh, "name_en": name_en, "kind": kind}
        asked = who | {"key": self._signer.address, "party": str(party) if party else None}
        form = self.post("/v1/parties/form", asked)
        body = self.sign(form["to_sign"]) | who | {"profile_salt": form["profile_salt"]}
        self.party = PartyId(int(form["party"]))
        return self.post("/v1/parties", body)

    def open_key(self, *, scopes: Iterable[Scope] = tuple(Scope), label: str = "client") -> str:
        """Gets an API key by the party's signature and uses it from now on; also returns it."""
        form = self.get(
            "/v1/keys/form",
            party=str(self.party),
            scopes=" ".join(scope.value for scope in scopes),
            label=label,
        )
        signed = self.sign(form["to_sign"])
        message = signed["message"]
        body = {
            "party": message["party"],
            "scopes": message["scopes"],
            "label": message["label"],
            "issued_at": int(message["issuedAt"]),
            "salt": message["salt"],
            "signature": signed["signature"],
        }
        self._token = str(self.post("/v1/keys", body)["token"])
        return self._token

    def sign_waybill(self, waybill: str, *, once: str = "") -> dict[str, Any]:
        """Signs a waybill that waits for this party; one that does not is shown as it is."""
        shown = self.get(f"/v1/waybills/{waybill}")
        if shown["to_sign"] is None:
            return shown
        body = {"signature": self.sign(shown["to_sign"])["signature"]}
        return self.post(f"/v1/waybills/{waybill}/signatures", body, once=once)

    def wait_until(
        self,
        path: str,
        done: Callable[[dict[str, Any]], bool],
        *,
        timeout_s: float = 30.0,
        pause_s: float = 0.1,
    ) -> dict[str, Any]:
        """Looks at a path again and again until it is as wished (the chain moves things, not requests).

        Raises:
            ClientError: it was not in time.
        """
        end = time.monotonic() + timeout_s
        while True:
            shown = self.get(path)
            if done(shown):
                return shown
            if time.monotonic() > end:
                raise ClientError(
                    f"{path} was not as awaited within {timeout_s:g} s", status=0, problem={}
                )
            time.sleep(pause_s)


def _read(answer: httpx2.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if answer.is_success:
        return cast("dict[str, Any]", body)
    problem = body if isinstance(body, dict) else {}
    detail = str(problem.get("detail") or f"HTTP {answer.status_code}")
    raise ClientError(detail, status=answer.status_code, problem=problem)
