"""The bank's doors. For customers: payments, their status, notices. For tests and the demo: ``/admin``."""

from __future__ import annotations

import datetime as dt
import hmac
import time
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from chain.clock import rfc3339
from chain.errors import YundanError
from chain.money import JSON_MAX_FEN
from deploy.bank.errors import SequenceReusedError, UnknownPaymentError
from deploy.bank.faults import Fault, FaultKind
from deploy.bank.store import BankStore
from finance.accrual import day_number
from finance.iso20022 import BankAccount, read_order

XML = "application/xml"
MOST_ORDER_BYTES = 64 * 1024
MOST_NOTICES = 100


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AccountForm(_Form):
    """An account to open, with money from outside."""

    holder: str = Field(min_length=1, max_length=140)
    number: str = Field(pattern=r"^[0-9A-Za-z]{1,34}$")
    bank: str = Field(pattern=r"^[0-9]{12}$")
    opening_fen: int = Field(default=0, ge=0, le=JSON_MAX_FEN)


class DepositForm(_Form):
    """Money that somebody pays in; the same key is the same deposit."""

    key: str = Field(min_length=1, max_length=64)
    account: str = Field(max_length=34)
    amount_fen: int = Field(gt=0, le=JSON_MAX_FEN)
    remittance: str = Field(default="", max_length=140)
    payer_name: str = Field(min_length=1, max_length=140)
    payer_account: str = Field(default="", max_length=34)


class FaultForm(_Form):
    """Something that is to go wrong."""

    kind: FaultKind = Field(strict=False)
    account: str = Field(default="", max_length=34)
    times: int = Field(default=1, ge=1, le=100_000)
    seconds: int = Field(default=0, ge=0, le=86_400 * 30)
    delta_fen: int = Field(default=0, ge=-JSON_MAX_FEN, le=JSON_MAX_FEN)
    reason: str = Field(default="", pattern=r"^([A-Z0-9]{4})?$")


class ClockForm(_Form):
    """The bank's time to be."""

    at: AwareDatetime = Field(strict=False)


def create_bank(store: BankStore, *, token: str = "") -> FastAPI:
    """The bank as an ASGI application.

    Args:
        store: its books.
        token: bearer token that every request must carry; "" asks for none.
    """

    def require_token(request: Request) -> None:
        given = request.headers.get("authorization", "")
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException(401, "this bank wants its bearer token")

    app = FastAPI(title="Yundan sandbox bank", dependencies=[Depends(require_token)])
    app.include_router(_customer_doors(store))
    app.include_router(_admin_doors(store), prefix="/admin")

    @app.exception_handler(YundanError)
    def refuse(_: Request, error: YundanError) -> JSONResponse:
        status = 409 if isinstance(error, SequenceReusedError) else 422
        status = 404 if isinstance(error, UnknownPaymentError) else status
        headers = {"bank-answer": "unknown-payment"} if status == 404 else {}
        body = {"code": error.code, "detail": str(error), "field": error.field}
        return JSONResponse(body, status, headers=headers)

    return app


async def _read_body(request: Request) -> bytes:
    """The body, read no further than an order may be long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_ORDER_BYTES:
            raise HTTPException(413, "an order has at most 64 kB")
    return body


def _customer_doors(store: BankStore) -> APIRouter:
    doors = APIRouter()

    def lose_answer(kind: FaultKind, account: str = "") -> None:
        fault = store.use_fault(kind, account)
        if fault is not None:
            time.sleep(fault.seconds)
            raise HTTPException(504, "lost on demand")

    @doors.post("/payments")
    def take_order(body: Annotated[bytes, Depends(_read_body)]) -> Response:
        """A pain.001 in, the pain.002 that answers it out; the same order again is the same payment."""
        order = read_order(body)
        lose_answer(FaultKind.ORDER_LOST, order.payee.number)
        answer = store.take_order(order)
        lose_answer(FaultKind.ANSWER_LOST, order.payee.number)
        return Response(answer, media_type=XML)

    @doors.get("/payments/{end_to_end_id}")
    def find_status(end_to_end_id: str) -> Response:
        """What has become of a payment, as pain.002."""
        lose_answer(FaultKind.STATUS_LOST)
        return Response(store.find_status(end_to_end_id), media_type=XML)

    @doors.get("/notices")
    def list_notices(
        account: Annotated[str, Query(max_length=34)],
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_NOTICES)] = MOST_NOTICES,
    ) -> dict[str, list[dict[str, int | str]]]:
        """Notices of bookings (camt.054) on an account after a place, oldest first."""
        lose_answer(FaultKind.NOTICES_LOST)
        found = store.list_notices(account, after, limit)
        return {"notices": [{"cursor": place, "message": text} for place, text in found]}

    @doors.get("/statements")
    def find_statement(
        account: Annotated[str, Query(max_length=34)],
        day: Annotated[dt.date, Query(description="Beijing date")],
    ) -> Response:
        """The statement of an account on a day that is over, as camt.053."""
        lose_answer(FaultKind.NOTICES_LOST)
        return Response(store.find_statement(account, day_number(day)), media_type=XML)

    @doors.get("/health")
    def health() -> dict[str, bool]:
        """Whether the books answer."""
        return {"ok": sum(store.balances().values()) == 0}

    return doors


def _admin_doors(store: BankStore) -> APIRouter:
    doors = APIRouter()

    @doors.post("/accounts", status_code=201)
    def open_account(form: AccountForm) -> dict[str, str]:
        """Opens an account; the same again changes nothing."""
        account = BankAccount(form.holder, form.number, form.bank)
        store.open_account(account, form.opening_fen)
        return {"number": form.number}

    @doors.post("/accounts/{number}/close", status_code=204)
    def close_account(number: str) -> None:
        """Closes an account."""
        store.close_account(number)

    @doors.get("/balances")
    def balances() -> dict[str, int]:
        """Every balance in fen; together they are zero."""
        return store.balances()

    @doors.post("/deposits", status_code=201)
    def deposit(form: DepositForm) -> dict[str, str]:
        """Money paid in."""
        return {"reference": store.deposit(**form.model_dump())}

    @doors.post("/faults", status_code=201)
    def add_fault(form: FaultForm) -> dict[str, str]:
        """Lets something go wrong."""
        store.add_fault(Fault(**form.model_dump()))
        return {"kind": form.kind.value}

    @doors.post("/payments/{end_to_end_id}/correct", status_code=204)
    def correct(end_to_end_id: str) -> None:
        """Takes a booking of a wrong amount back and books the right one."""
        store.correct(end_to_end_id)

    @doors.post("/payments/{end_to_end_id}/return", status_code=204)
    def send_back(end_to_end_id: str) -> None:
        """The payee's bank returns a booked payment."""
        store.send_back(end_to_end_id)

    @doors.post("/clock")
    def set_clock(form: ClockForm) -> dict[str, str]:
        """Moves the bank's time forward."""
        return {"at": rfc3339(store.set_clock(form.at.astimezone(dt.UTC)))}

    return doors
