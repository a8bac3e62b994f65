"""Sends what is due: signed by Standard Webhooks, to the checked address, with everything bounded.

The connection is made by hand, over ``http.client``: to one address that was checked, without proxies,
redirects or decompression, and cut when its time is over, however slowly a receiver drips its answer.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import structlog
from standardwebhooks import Webhook

from api.ports import Container
from api.webhooks.addresses import (
    Destination,
    Network,
    Resolve,
    UrlRefusedError,
    find_destination,
    resolve,
)
from api.webhooks.deliveries import GONE, Attempt, Due
from chain.clock import Clock

CONNECT_S = 5.0
MOST_S = 15.0
"""Of one attempt, from the connection to the last byte."""

MOST_ANSWER = 1000
"""Bytes of an answer that are read and kept in the log."""

THREADS = 16
_log = structlog.get_logger(__name__)


class Sender:
    """Makes attempts in threads of its own; a slow receiver delays nobody else.

    Args:
        container: where deliveries are kept.
        allowed: private networks that the operator allows.
        resolver: finds the addresses of a host.
        tls: what certificates are trusted.
    """

    def __init__(
        self,
        container: Container,
        allowed: Sequence[Network],
        *,
        resolver: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._container = container
        self._allowed = allowed
        self._resolver = resolver
        self._tls = tls or ssl.create_default_context()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhooks")

    def send_due(self) -> list[Future[str]]:
        """Claims what is due and hands it to the threads; does not wait for them."""
        with self._container.read() as services:
            if not services.deliveries.has_due():
                return []  # the usual case takes no write lock
        with self._container.write() as services:
            claimed = services.deliveries.claim()
            secrets = {
                endpoint: [one.secret for one in services.endpoints.secrets_of(endpoint)]
                for endpoint in {due.endpoint for due in claimed}
            }
        return [self._pool.submit(self._deliver, due, secrets[due.endpoint]) for due in claimed]

    def send_all(self) -> int:
        """Sends until nothing is due, waiting for each round; how many attempts were made."""
        made = 0
        while futures := self.send_due():
            made += len([future.result() for future in futures])
        return made

    def close(self) -> None:
        """Ends after the attempts that are under way."""
        self._pool.shutdown(wait=True)

    def _deliver(self, due: Due, secrets: Sequence[str]) -> str:
        def find() -> Destination:
            return find_destination(due.url, self._allowed, resolver=self._resolver)

        came = attempt(
            due, sign(due, secrets, self._container.wall), self._container.wall, find, self._tls
        )
        with self._container.write() as services:
            state = services.deliveries.record(due, came)
            if came.status == GONE:
                services.endpoints.disable(due.endpoint, "the receiver answered 410 Gone")
        _log.info(
            "webhook", delivery=due.delivery, attempt=due.attempt, status=came.status, state=state
        )
        return state


def sign(due: Due, secrets: Sequence[str], clock: Clock) -> dict[str, str]:
    """The headers of Standard Webhooks; one signature for each secret that is valid now."""
    now = clock.now().replace(microsecond=0)
    signatures = [Webhook(one).sign(due.event, now, due.payload) for one in secrets]
    return {
        "webhook-id": due.event,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def attempt(
    due: Due,
    headers: Mapping[str, str],
    clock: Clock,
    find: Callable[[], Destination],
    tls: ssl.SSLContext,
) -> Attempt:
    """One attempt; whatever goes wrong is what came of it, never an exception.

    Args:
        due: the delivery.
        headers: its signature.
        clock: for the log.
        find: resolves and checks the receiver.
        tls: what certificates are trusted.
    """
    began, at = time.monotonic(), clock.now()
    address, status, error, answer, wait = "", None, "", b"", 0
    try:
        where = find()
        address = where.address
        status, answer, wait = _post(where, due.payload.encode(), headers, tls)
        if not 200 <= status < 300:
            error = "a redirect is not followed" if 300 <= status < 400 else f"HTTP {status}"
    except UrlRefusedError as refused:
        error = str(refused)
    except TimeoutError:
        error = "no answer in time"
    except (OSError, http.client.HTTPException) as failed:
        error = type(failed).__name__
    except Exception as broken:  # noqa: BLE001  a receiver must not be able to end the thread
        error = f"broken answer: {type(broken).__name__}"
        _log.warning("webhook_broken", delivery=due.delivery, kind=type(broken).__name__)
    return Attempt(
        at=at,
        address=address,
        status=status,
        ms=int((time.monotonic() - began) * 1000),
        error=error,
        answer=answer.decode("utf-8", "replace").replace("\x00", ""),
        retry_after_s=wait,
    )


def _post(
    where: Destination, body: bytes, headers: Mapping[str, str], tls: ssl.SSLContext
) -> tuple[int, bytes, int]:
    raw = socket.create_connection((where.address, where.port), CONNECT_S)
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):
            raw.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(MOST_S, cut)
    timer.daemon = True
    timer.start()
    connection = http.client.HTTPConnection(where.host, where.port)
    try:
        raw.settimeout(MOST_S)
        connection.sock = tls.wrap_socket(raw, server_hostname=where.host) if where.is_tls else raw
        sent = {
            "Host": where.host_header,
            "Content-Type": "application/json",
            "User-Agent": "Yundan-Webhooks/1",
            "Connection": "close",
            **headers,
        }
        connection.putrequest("POST", where.target, skip_host=True, skip_accept_encoding=True)
        for name, value in (sent | {"Content-Length": str(len(body))}).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        answer = reply.read(MOST_ANSWER)
        if late.is_set():  # what was cut off may look like an end
            raise TimeoutError
        given = reply.getheader("Retry-After") or ""
        wait = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
    except (OSError, http.client.HTTPException) as failed:
        if late.is_set():
            raise TimeoutError from failed
        raise
    else:
        return reply.status, answer, wait
    finally:
        timer.cancel()
        connection.close()
        raw.close()
