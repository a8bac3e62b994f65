"""The bank's admin doors from a program: what the demo and the tests set up and break."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx2

from chain.clock import rfc3339
from deploy.bank.errors import BankDoorError

if TYPE_CHECKING:
    import datetime as dt
    from types import TracebackType
    from typing import Self

    from finance.iso20022 import BankAccount


class BankAdmin:
    """Opens accounts, pays in, causes faults, moves the bank's time.

    Args:
        url: where the sandbox bank is.
        token: its bearer token, if it wants one.
    """

    def __init__(self, url: str, *, token: str = "") -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False)

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

    def wait_until_up(self, seconds: float = 20.0) -> None:
        """Waits for the bank to answer.

        Raises:
            BankDoorError: it does not.
        """
        end = time.monotonic() + seconds
        while True:
            try:
                if self._http.get("/health").status_code == 200:
                    return
            except httpx2.HTTPError:
                pass
            if time.monotonic() > end:
                raise BankDoorError("the sandbox bank does not answer")
            time.sleep(0.05)

    def open_account(self, account: BankAccount, opening_fen: int = 0) -> None:
        """Opens an account with money from outside; the same again changes nothing."""
        self._post(
            "/admin/accounts",
            {
                "holder": account.holder,
                "number": account.number,
                "bank": account.bank,
                "opening_fen": opening_fen,
            },
        )

    def close_account(self, number: str) -> None:
        """Closes an account: payments to it are rejected."""
        self._post(f"/admin/accounts/{number}/close")

    def balances(self) -> dict[str, int]:
        """Every balance in fen; together they are zero."""
        answer = self._http.get("/admin/balances")
        _require_ok(answer)
        balances: dict[str, int] = answer.json()
        return balances

    def deposit(
        self, *, key: str, account: str, amount_fen: int, remittance: str, **payer: str
    ) -> str:
        """Pays money in (``payer_name``, ``payer_account``); gives the booking's reference."""
        form = {"key": key, "account": account, "amount_fen": amount_fen, "remittance": remittance}
        return str(self._post("/admin/deposits", form | payer)["reference"])

    def fault(self, kind: str, **how: Any) -> None:
        """Lets something go wrong (``deploy.bank.store.FaultKind``)."""
        self._post("/admin/faults", {"kind": kind, **how})

    def correct(self, end_to_end_id: str) -> None:
        """Has a booking of a wrong amount taken back and the right one made."""
        self._post(f"/admin/payments/{end_to_end_id}/correct")

    def send_back(self, end_to_end_id: str) -> None:
        """Has the payee's bank return a booked payment."""
        self._post(f"/admin/payments/{end_to_end_id}/return")

    def set_clock(self, at: dt.datetime) -> str:
        """Moves the bank's time forward; gives the time it is then."""
        return str(self._post("/admin/clock", {"at": rfc3339(at)})["at"])

    def _post(self, path: str, form: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self._http.post(path, json=form)
        _require_ok(answer)
        body: dict[str, Any] = answer.json() if answer.content else {}
        return body


def _require_ok(answer: httpx2.Response) -> None:
    if answer.status_code >= 400:
        raise BankDoorError(f"the sandbox bank refuses ({answer.status_code}): {answer.text[:300]}")
