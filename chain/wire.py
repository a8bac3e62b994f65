"""JSON-RPC over HTTP to one node: questions out, answers checked for their form.

A transport failure and a garbled answer are the same to the caller (ChainUnavailableError: nothing is
known, ask again); what the node says in so many words is a NodeError.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import threading
import urllib.parse
from typing import TYPE_CHECKING, Any

from web3.providers.rpc import HTTPProvider

from chain.errors import ChainError, ChainUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from web3.types import RPCEndpoint, RPCResponse

METHOD_NOT_FOUND = -32601

LONGEST_ANSWER = 256 * 2**20
"""Bytes of an answer that are read at most."""


class NodeError(ChainError):
    """The node refused a request."""

    code = "node_refused"

    def __init__(self, rpc_code: int, text: str, data: bytes = b"") -> None:
        super().__init__(f"the node answered: {text}", rpc_code=rpc_code)
        self.rpc_code = rpc_code
        self.text = text
        self.data = data


class _Plain(http.client.HTTPConnection):
    """A connection that ends with the thread or client that held it."""

    def __del__(self) -> None:
        self.close()


class _Secure(http.client.HTTPSConnection):
    """The same over TLS."""

    def __del__(self) -> None:
        self.close()


class CheckedHttpProvider(HTTPProvider):
    """HTTP to a node; an answer must carry the id of its question.

    Retrying belongs to the callers, who know what is safe to say twice.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(
            url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None
        )
        self._ids = itertools.count(1)
        self._place = urllib.parse.urlsplit(url)
        self._path = urllib.parse.urlunsplit(
            ("", "", self._place.path or "/", self._place.query, "")
        )
        self._headers = {"Content-Type": "application/json", "Connection": "keep-alive"}
        if self._place.username:
            name = urllib.parse.unquote(self._place.username)
            word = urllib.parse.unquote(self._place.password or "")
            coded = base64.b64encode(f"{name}:{word}".encode()).decode()
            self._headers["Authorization"] = f"Basic {coded}"
        self._timeout_s = timeout_s
        self._local = threading.local()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One question, one answer."""
        number = next(self._ids)
        answer = self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        if not isinstance(answer, dict) or answer.get("id") != number:
            raise ChainUnavailableError("the node's answer is not to the question asked")
        return answer  # type: ignore[return-value]  # the form is checked by what reads it

    def ask_many(self, questions: Sequence[tuple[str, Any]]) -> list[dict[str, Any]]:
        """Several questions in one round trip; the answers in the questions' order."""
        numbered = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
            for method, params in questions
        ]
        answers = self._post(numbered)
        if isinstance(answers, dict):  # a node that refuses the batch as a whole
            answers = [answers]
        by_id = {a.get("id"): a for a in answers if isinstance(a, dict)}
        try:
            return [by_id[one["id"]] for one in numbered]
        except KeyError as error:
            raise ChainUnavailableError("the node left out answers of a batch") from error

    def _post(self, body: Any) -> Any:
        raw = json.dumps(body, separators=(",", ":")).encode()
        try:
            return json.loads(self._exchange(raw))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise ChainUnavailableError(
                f"the node does not answer ({type(error).__name__})"
            ) from error

    def _exchange(self, raw: bytes) -> bytes:
        """One exchange over this thread's connection.

        A kept connection that the node has closed meanwhile is opened again, once: whatever we say may
        be said twice. No proxy of the environment sees our questions, and no redirection is followed.
        """
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if kept is not None:
            try:
                return self._ask(kept, raw)
            except (ConnectionError, http.client.BadStatusLine):
                self.close()
        fresh = self._local.connection = self._open()
        return self._ask(fresh, raw)

    def _ask(self, connection: http.client.HTTPConnection, raw: bytes) -> bytes:
        connection.request("POST", self._path, raw, self._headers)
        answer = connection.getresponse()
        body = answer.read(LONGEST_ANSWER)
        if answer.will_close:
            self.close()
        return body

    def _open(self) -> http.client.HTTPConnection:
        kind = _Secure if self._place.scheme == "https" else _Plain
        return kind(self._place.hostname or "", self._place.port, timeout=self._timeout_s)

    def close(self) -> None:
        """Closes the calling thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


def result_of(answer: Any) -> Any:
    """The result in a JSON-RPC answer.

    Raises:
        NodeError: the node refused.
        ChainUnavailableError: the answer is none.
    """
    if "error" in answer and answer["error"] is not None:
        error = answer["error"]
        if not isinstance(error, dict):
            raise ChainUnavailableError("the node's error cannot be read")
        data = error.get("data")
        if isinstance(data, dict):  # some nodes wrap it once more
            data = data.get("data") or data.get("result")
        raw = raw_bytes(data) if isinstance(data, str) and data.startswith("0x") else b""
        raise NodeError(int(error.get("code", 0)), str(error.get("message", "")), raw)
    if "result" not in answer:
        raise ChainUnavailableError("the node's answer has neither result nor error")
    return answer["result"]


def is_revert(error: NodeError) -> bool:
    """True if the refusal is a contract's, not the node's."""
    return bool(error.data) or error.rpc_code == 3 or "revert" in error.text.lower()


def whole(value: Any) -> int:
    """A quantity of JSON-RPC (0x hex) as an integer.

    Raises:
        ChainUnavailableError: it is none.
    """
    try:
        return int(value, 16)
    except (TypeError, ValueError) as error:
        raise ChainUnavailableError(
            "the node's answer holds no number where one belongs"
        ) from error


def raw_bytes(value: Any) -> bytes:
    """Data of JSON-RPC (0x hex) as bytes.

    Raises:
        ChainUnavailableError: it is none.
    """
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError) as error:
        raise ChainUnavailableError("the node's answer holds no data where some belongs") from error
