"""The bank over HTTP: ISO 20022 messages to the sandbox bank, or to a real one with the same three doors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import httpx2

from finance.iso20022 import MOST_BYTES
from finance.payout_errors import BankRefusedError, BankUnavailableError
from finance.payout_ports import NoticePage

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

_XML: Final = "application/xml"
_PAGE: Final = 100


class HttpBank:
    """``finance.payout_ports.Bank`` over HTTP.

    Every failure between us and an answer (no connection, timeout, a 5xx of whatever stands between) is
    BankUnavailableError, for it says nothing about the payment. It never retries: the saga asks.

    Args:
        url: where the bank's API is.
        token: bearer token, if the bank wants one.
        timeout_s: how long an answer may take, seconds.
    """

    def __init__(self, url: str, *, token: str = "", timeout_s: int = 10) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(
            base_url=url,
            headers=headers,
            timeout=timeout_s,
            follow_redirects=False,
            trust_env=False,  # no proxy of the environment sees account numbers
        )

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
        """Gives connections back."""
        self._http.close()

    def send_order(self, order: bytes) -> bytes:
        """Hands a pain.001 over; gives the pain.002 that answers it.

        Raises:
            BankUnavailableError: no answer: it may or may not have been taken.
            BankRefusedError: the message itself is refused.
        """
        answer = self._ask("POST", "/payments", content=order)
        if answer.status_code != 200:
            raise _refused(answer)
        return answer.content

    def fetch_status(self, end_to_end_id: str) -> bytes | None:
        """What the bank says of a payment (pain.002); None if it has never heard of it.

        Raises:
            BankUnavailableError: no answer.
            BankRefusedError: it will not say.
        """
        answer = self._ask("GET", f"/payments/{quote(end_to_end_id, safe='')}")
        if answer.status_code == 404 and answer.headers.get("bank-answer") == "unknown-payment":
            return None  # the bank's own word, not that of a proxy with a wrong path
        if answer.status_code != 200:
            raise _refused(answer)
        return answer.content

    def fetch_notices(self, account: str, after: int) -> NoticePage:
        """Notices for an account of ours after a place, oldest first.

        Raises:
            BankUnavailableError: no answer, or not one that can be read.
            BankRefusedError: it will not say.
        """
        params: dict[str, str | int] = {"account": account, "after": after, "limit": _PAGE}
        answer = self._ask("GET", "/notices", params=params)
        if answer.status_code != 200:
            raise _refused(answer)
        try:
            notices = [
                (int(one["cursor"]), str(one["message"]).encode())
                for one in answer.json()["notices"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise BankUnavailableError("the bank's list of notices cannot be read") from error
        return NoticePage(tuple(sorted(one for one in notices if one[0] > after)))

    def fetch_statement(self, account: str, day: dt.date) -> bytes:
        """The statement (camt.053) of an account of ours on a Beijing day that is over.

        Raises:
            BankUnavailableError: no answer.
            BankRefusedError: it will not say, or the day is not over for it.
        """
        params = {"account": account, "day": day.isoformat()}
        answer = self._ask("GET", "/statements", params=params)
        if answer.status_code != 200:
            raise _refused(answer)
        return answer.content

    def _ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx2.Response:
        headers = {"Content-Type": _XML} if content is not None else {}
        try:
            answer = self._http.request(
                method, path, content=content, params=params, headers=headers
            )
        except httpx2.HTTPError as error:
            raise BankUnavailableError(
                f"the bank has not answered ({type(error).__name__})"
            ) from error
        if answer.status_code >= 500 or answer.is_redirect:
            raise BankUnavailableError(f"the bank answers {answer.status_code}")
        if len(answer.content) > MOST_BYTES * _PAGE:
            raise BankUnavailableError("the bank's answer is too long")
        return answer


def _refused(answer: httpx2.Response) -> BankRefusedError:
    """The refusal in the bank's words, if it has any; never the order itself."""
    try:
        said = str(answer.json()["detail"])[:300]
    except (ValueError, KeyError, TypeError):
        said = "no reason given"
    return BankRefusedError(
        f"the bank refuses the message ({answer.status_code}): {said}", status=answer.status_code
    )
