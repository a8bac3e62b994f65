"""The web server of one process: the application behind uvicorn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn

from api.app import create_app
from api.bootstrap import Container
from api.patience import PatientProtocol


def proxies_of(trusted: str) -> dict[str, Any]:
    """What the server is told of proxies: X-Forwarded-For is believed of these addresses, of nobody where there are none."""
    return {"proxy_headers": bool(trusted), "forwarded_allow_ips": trusted or None}


class Server(uvicorn.Server):
    """A server that leaves signals to the process: other parts end with it.

    Args:
        container: what its application works on.
    """

    def __init__(self, container: Container) -> None:
        settings = container.settings
        super().__init__(
            uvicorn.Config(
                create_app(container),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                http=PatientProtocol,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                timeout_graceful_shutdown=10,
                **proxies_of(settings.trusted_proxies),
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures nothing."""
        yield
