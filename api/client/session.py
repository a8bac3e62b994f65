"""One party's connection to a platform."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import httpx2

from api.auth import ApiKeyRequest, Scope
from api.client.errors import ClientError, RefusedError, UnreachableError
from api.schemas.signing import read_message
from chain.abi import Struct
from chain.bindings import structs
from chain.ids import Address, PartyId
from chain.ports import Domain, Signer
from chain.typed_data import typed_message

S = TypeVar("S", bound=Struct)

TRIES = 5
FORMS: Mapping[str, type[Struct]] = {
    **{
        name: value
        for name, value in vars(structs).items()
        if isinstance(value, type) and issubclass(value, Struct) and value is not Struct
    },
    "ApiKeyRequest": ApiKeyRequest,
}
"""Every form that may be signed, by its primary type."""


class YundanClient:
    """A party at work on a platform.

    Args:
        url: where the platform is.
        signer: the party's own key; it never leaves this process (or its keystore, or its remote signer).
        party: the party.
        token: an API key had before; ``open_key`` gets one otherwise.
        chain_id: the chain whose contracts the party deals with; a form for another is not signed.
    """

    def __init__(
        self,
        url: str,
        *,
        signer: Signer,
        party: PartyId,
        token: str = "",
        chain_id: int | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self.signer = signer
        self.party = party
        self._chain_id = chain_id
        self._token = token
        self._http = httpx2.Client(base_url=url, timeout=timeout_s)

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    # -- being known --------------------------------------------------------------------------

    def register(self, *, name_zh: str, name_en: str, kind: str) -> dict[str, Any]:
        """Enrols the party under the client's key; again changes nothing."""
        who = {"name_zh": name_zh, "name_en": name_en, "kind": kind}
        prepared = self.post(
            "/v1/parties/form", {**who, "key": self.signer.address, "party": str(self.party)}
        )
        message, signature = self.sign(prepared["to_sign"])
        body = {
            "message": message,
            "signature": signature,
            "profile_salt": prepared["profile_salt"],
            **who,
        }
        return self.post("/v1/parties", body)

    def open_key(self, *, scopes: Iterable[Scope] = tuple(Scope), label: str = "client") -> str:
        """Gets an API key by the party's signature and uses it from now on."""
        wanted = " ".join(scope.value for scope in scopes)
        asked = self.get("/v1/keys/form", party=str(self.party), scopes=wanted, label=label)
        message, signature = self.sign(asked["to_sign"])
        opened = self.post(
            "/v1/keys",
            {
                "party": str(self.party),
                "scopes": wanted,
                "label": label,
                "issued_at": int(message["issuedAt"]),
                "salt": message["salt"],
                "signature": signature,
            },
        )
        self._token = str(opened["token"])
        return self._token

    # -- asking and acting --------------------------------------------------------------------

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """An answer of the platform.

        Raises:
            RefusedError, UnreachableError: why there is none.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._ask("GET", path, params=given)

    def pages(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Every object of a list, page by page."""
        after: str | None = None
        while True:
            page = self.get(path, starting_after=after, **parameters)
            yield from page["data"]
            after = page.get("next_cursor")
            if not page.get("has_more") or after is None:
                return

    def post(
        self, path: str, body: Mapping[str, Any], *, key: str = "", **parameters: Any
    ) -> dict[str, Any]:
        """Sends an act once: a repetition under the same key gets the first answer.

        Args:
            path: of the API.
            body: JSON values.
            key: Idempotency-Key; give one of your own to be able to repeat after a crash.
            parameters: of the query; None is left out.
        """
        given = {name: value for name, value in parameters.items() if value is not None}
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self._ask("POST", path, json=dict(body), headers=headers, params=given)

    def post_text(
        self, path: str, text: str, *, content_type: str, key: str = "", **parameters: Any
    ) -> dict[str, Any]:
        """Sends a file of text, for example a CSV of waybills."""
        headers = {
            "Idempotency-Key": key or secrets.token_hex(16),
            "Content-Type": f"{content_type}; charset=utf-8",
        }
        return self._ask("POST", path, content=text.encode(), headers=headers, params=parameters)

    # -- signing ------------------------------------------------------------------------------

    def sign(self, to_sign: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """Signs a prepared form after reading it as the form it claims to be: message and signature.

        What is hashed is built here from the form's own definition, never from the types in the answer.

        Raises:
            ClientError: unknown form, or one for another chain.
        """
        kind = FORMS.get(str(to_sign["primaryType"]))
        if kind is None:
            raise ClientError(f"{to_sign['primaryType']} is no form that a party signs")
        form = read_message(kind, dict(to_sign["message"]))
        named = to_sign["domain"]
        domain = Domain(int(named["chainId"]), Address(named["verifyingContract"]))
        if self._chain_id is not None and domain.chain_id != self._chain_id:
            raise ClientError(
                f"the form is for chain {domain.chain_id}, not for {self._chain_id}",
                field="chainId",
            )
        return dict(to_sign["message"]), self.sign_form(form, domain)

    def sign_form(self, form: Struct, domain: Domain) -> str:
        """The signature of a form in hex."""
        return "0x" + self.signer.sign_typed_data(form, domain).hex()

    def post_signed(
        self, path: str, form: Struct, domain: Domain, *, key: str = "", **more: Any
    ) -> dict[str, Any]:
        """Signs a form that was made here and sends it."""
        body = {
            "message": typed_message(form, domain)["message"],
            "signature": self.sign_form(form, domain),
            **more,
        }
        return self.post(path, body, key=key)

    def act(self, path: str, *, key: str = "", **parameters: Any) -> dict[str, Any]:
        """Gets what is to be signed at a path, signs it, and posts it back there."""
        asked = self.get(path, **parameters)
        message, signature = self.sign(asked["to_sign"])
        return self.post(path, {"message": message, "signature": signature}, key=key)

    # -- the wire -----------------------------------------------------------------------------

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        headers = dict(options.pop("headers", {}))
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        problem: Exception | None = None
        for attempt in range(TRIES):
            try:
                answer = self._http.request(method, path, headers=headers, **options)
            except httpx2.TransportError as error:
                problem = error
                time.sleep(0.1 * 2**attempt)
                continue
            if answer.status_code in {429, 502, 503} and attempt < TRIES - 1:
                time.sleep(min(float(answer.headers.get("retry-after", 0.2 * 2**attempt)), 5))
                continue
            return _content(answer)
        raise UnreachableError(f"the platform does not answer: {problem}")


def _content(answer: httpx2.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = {}
    if not isinstance(content, dict):
        content = {"data": content}
    if answer.is_success:
        return content
    raise RefusedError(answer.status_code, content)
