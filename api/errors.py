"""From the errors of the packages to HTTP: RFC 9457 problems, and the one table of statuses.

A problem carries ``code`` (stable, for programs), ``detail`` (what to do, for people), ``field`` where
one is at fault, ``facts`` and ``request_id``. What went wrong inside says nothing but its request id:
the rest is in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar, cast

import sqlalchemy.exc
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from api.problem_words import ZH, detail_zh, rule_zh, title_zh, wants_chinese
from chain.errors import YundanError

_log = structlog.get_logger()

STATUS_BY_CODE: dict[str, int] = {
    "unauthenticated": 401,
    "signature_refused": 422,
    "forbidden_scope": 403,
    "not_found": 404,
    "trip_unknown": 404,
    "terminal_unknown": 404,
    "unexpected_state": 409,
    "trip_state": 409,
    "trip_taken": 409,
    "terminal_taken": 409,
    "payout_unknown": 404,
    "payout_unexpected_state": 409,
    "warning_unknown": 404,
    "evidence_empty": 409,
    "too_many_documents": 409,
    "content_gone": 410,
    "vehicle_known": 409,
    "too_many_jobs": 409,
    "job_ended": 409,
    "claim_lost": 409,
    "delivery_pending": 409,
    "webhook_secret_reused": 409,
    "too_many_webhook_endpoints": 409,
    "precondition_failed": 412,
    "chain_unavailable": 503,
    "busy": 503,
    "wrong_chain": 503,
    "deep_reorganisation": 503,
    "link_unknown": 404,
    "link_gone": 410,
    "link_used": 409,
    "receipt_code_locked": 429,
    "wrong_mode": 401,
    "too_many_requests": 429,
    "door": 401,
    "sign_in_refused": 401,
    "second_factor_needed": 401,
    "too_many_attempts": 429,
    "login_taken": 409,
    "last_owner": 409,
    "still_needed": 409,
    "same_person": 403,
    "self_custody": 409,
    "code_refused": 422,
    "passkey_refused": 401,
    "plain_http": 403,
    "no_sender": 503,
    "sms_failed": 503,
    "keyring_missing": 503,
    "idempotency_key_missing": 400,
    "idempotency_key_reused": 422,
    "secret_gone": 410,
}
"""Statuses of codes that are not simply a value at fault (422)."""

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 2


class ApiError(YundanError):
    """The request was refused at the door."""

    code = "request_refused"


class UnauthenticatedError(ApiError):
    """An API key is needed: Authorization: Bearer yk_..."""

    code = "unauthenticated"


class ForbiddenScopeError(ApiError):
    """This API key lacks the scope that this request asks for."""

    code = "forbidden_scope"


class IdempotencyKeyMissingError(ApiError):
    """A write carries an Idempotency-Key header: 1 to 255 visible characters, new for each act."""

    code = "idempotency_key_missing"


class IdempotencyKeyReusedError(ApiError):
    """This Idempotency-Key was used for another request."""

    code = "idempotency_key_reused"


class SecretGoneError(ApiError):
    """The answer under this Idempotency-Key showed a secret and was forgotten after a day; make a new one."""

    code = "secret_gone"


class BusyError(ApiError):
    """The database is busy; the same request may be sent again."""

    code = "busy"


class RowsRefusedError(ApiError):
    """Some rows are refused; nothing was imported."""

    code = "rows_refused"

    def __init__(self, message: str, rows: list[dict[str, Any]]) -> None:
        super().__init__(message, rows=len({row["row"] for row in rows}))
        self.rows = rows


class Problem(JSONResponse):
    """An RFC 9457 problem."""

    media_type: ClassVar[str] = PROBLEM_TYPE  # type: ignore[misc]  # Starlette types it per instance


def problem(request: Request, status: int, code: str, detail: str, **members: Any) -> Response:
    """A problem as a response; members without a value are left out."""
    chinese = reads_chinese(request)
    body: dict[str, Any] = {
        "type": f"urn:yundan:error:{code}",
        "title": title_zh(code) if chinese else code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": getattr(request.state, "request_id", ""),
    }
    body |= {name: value for name, value in members.items() if value not in ("", None, {}, [])}
    headers = {"Content-Language": "zh" if chinese else "en", "Vary": "Accept-Language"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="yundan"'
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Problem(body, status, headers)


def reads_chinese(request: Request) -> bool:
    """Whether the reader asks for Chinese before any other language."""
    return wants_chinese(request.headers.get("accept-language", ""))


def status_of(error: YundanError) -> int:
    """The HTTP status of an error: by its code, or by the code of a class it refines."""
    for kind in type(error).__mro__:
        status = STATUS_BY_CODE.get(getattr(kind, "code", ""))
        if status is not None:
            return status
    return HTTPStatus.UNPROCESSABLE_ENTITY


def problem_of(request: Request, error: YundanError) -> Response:
    """The problem that tells an error of ours."""
    return problem(
        request,
        status_of(error),
        error.code,
        detail_zh(error) if reads_chinese(request) else str(error),
        field=error.field,
        facts=error.facts,
        rows=getattr(error, "rows", None),
    )


TOLD = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
"""Statuses of refusals that are written into the log by their code: somebody may be trying doors."""


def _on_yundan_error(request: Request, error: Exception) -> Response:
    known = cast("YundanError", error)
    if status_of(known) in TOLD and known.code != "door":
        _log.info("refused", code=known.code)
    return _as_page(request, status_of(known), known) or problem_of(request, known)


def _on_invalid_body(request: Request, error: Exception) -> Response:
    chinese = reads_chinese(request)
    found = [
        {
            "field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]),
            "in": str(item["loc"][0]),
            "rule": item["type"],
            "message": rule_zh(item["type"], item.get("ctx", {}), item["msg"])
            if chinese
            else item["msg"],
        }
        for item in cast("RequestValidationError", error).errors()
    ]
    first = found[0]
    told = ApiError(first["message"], field=first["field"])
    page = _as_page(request, HTTPStatus.UNPROCESSABLE_ENTITY, told)
    return page or problem(
        request,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{first['field']}: {first['message']}",
        field=first["field"],
        errors=found,
    )


def _on_http_exception(request: Request, error: Exception) -> Response:
    known = cast("HTTPException", error)
    page = _as_page(request, known.status_code, None)
    if page is not None:
        return page
    code = HTTPStatus(known.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    detail = ZH[code][1] if code in ZH and reads_chinese(request) else str(known.detail)
    return problem(request, known.status_code, code, detail)


def _on_database_error(request: Request, error: Exception) -> Response:
    busy = _is_busy(error)
    # The statement and its parameters stay out of both the answer and the log.
    cause = str(getattr(error, "orig", ""))[:200]  # the driver's words; they name no parameter
    _log.error("database_error", kind=type(error).__name__, busy=busy, cause=cause)
    if busy:
        told = BusyError()
        return _as_page(request, status_of(told), told) or problem_of(request, told)
    return _on_anything(request, error)


def _is_busy(error: Exception) -> bool:
    """Whether another transaction was in the way; a broken schema is an operational error too."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return True
    told = str(error.orig).lower() if isinstance(error, sqlalchemy.exc.OperationalError) else ""
    return any(word in told for word in ("locked", "busy", "deadlock", "connection"))


def _on_anything(request: Request, error: Exception) -> Response:
    _log.error("request_failed", kind=type(error).__name__, exc_info=error)
    return _as_page(request, HTTPStatus.INTERNAL_SERVER_ERROR, None) or problem(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal_error",
        ZH["internal_error"][1]
        if reads_chinese(request)
        else "something went wrong here; quote the request id when you write to us",
    )


def _as_page(request: Request, status: int, error: YundanError | None) -> Response | None:
    """What a person sees on a page; None where a program asks."""
    if request.url.path.startswith("/v1") or "text/html" not in request.headers.get("accept", ""):
        return None
    if error is not None and error.code == "door":
        return RedirectResponse("/door", status_code=HTTPStatus.SEE_OTHER)
    make = request.app.state.refusal_page
    return cast("Response", make(request, status, error))


def install(
    app: FastAPI, refusal_page: Callable[[Request, int, YundanError | None], Response]
) -> None:
    """Gives the application its error handlers.

    Args:
        app: the application.
        refusal_page: what a person sees instead of a problem: by status, with our error where there is one.
    """
    app.state.refusal_page = refusal_page
    app.add_exception_handler(YundanError, _on_yundan_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_body)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(sqlalchemy.exc.SQLAlchemyError, _on_database_error)
    app.add_exception_handler(Exception, _on_anything)
