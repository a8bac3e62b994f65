"""A served process: it ends well, and who is slow, far or on plain http harms nobody."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api.app import create_app
from api.patience import Patience, PatientProtocol
from api.serving import proxies_of
from tests.integration.api.people import PASSWORD, open_account

ROOT = Path(__file__).resolve().parents[3]
BOUND_S = 60
STARTS_S = 300  # a machine that is busy with other work takes long to load everything


class Served:
    """The module's system behind a real socket."""

    def __init__(self, app, **options):
        config = uvicorn.Config(
            app, port=0, log_config=None, access_log=False, lifespan="off", **options
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self):
        self._thread.start()
        end = time.monotonic() + BOUND_S
        while not self.server.started:
            assert time.monotonic() < end
            time.sleep(0.02)
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self._thread.join(BOUND_S)
        assert not self._thread.is_alive()


def connect(port):
    made = socket.create_connection(("127.0.0.1", port), timeout=BOUND_S)
    made.settimeout(BOUND_S)
    return made


def read_all(connection):
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            got += piece
    return got


def test_an_address_is_believed_of_a_trusted_proxy_alone(system):
    """A key that opens from one network does not open to who merely says that he is there."""
    firm = system.party("behind a proxy")
    token, (shown,) = firm._token, firm.get("/v1/keys")["data"]
    firm.open_key(label="another")
    firm.patch(f"/v1/keys/{shown['key_id']}", {"allowed_from": ["203.0.113.0/24"]})
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": "203.0.113.7"}
    answers = {}
    for trusted in ("", "192.0.2.1", "127.0.0.1"):
        with Served(create_app(system.container), **proxies_of(trusted)) as served:
            url = f"http://127.0.0.1:{served.port}/v1/trips"
            answers[trusted] = httpx2.get(url, headers=headers, timeout=BOUND_S).status_code
    assert answers == {"": 401, "192.0.2.1": 401, "127.0.0.1": 200}


AMBIGUOUS = {
    "two lengths": b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a length below zero": b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length that is no number": b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\na",
    "a coding that is not chunked": b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "a space before the colon": b"GET /v1/health HTTP/1.1\r\nHost : x\r\n\r\n",
    "two hosts": b"GET /v1/health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /v1/health HTTP/1.1\r\n\r\n",
    "a chunk without a size": b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\na\r\n0\r\n\r\n",
    "a null in a header": b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
}


def test_a_request_that_could_be_read_in_two_ways_is_refused_and_its_connection_closed(system):
    app = create_app(system.container)
    with Served(app, http=PatientProtocol) as served:
        for what, raw in AMBIGUOUS.items():
            with connect(served.port) as connection:
                connection.sendall(raw)
                got = read_all(connection)
            assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), (what, got[:200])
            assert got.count(b"HTTP/1.1 ") == 1, what
        answer = httpx2.get(f"http://127.0.0.1:{served.port}/v1/health", timeout=BOUND_S)
        assert answer.status_code == 200


def test_a_head_that_trickles_in_is_cut_off_and_others_are_served(system):
    hasty = type("Hasty", (PatientProtocol,), {"head_s": 0.4})
    with Served(create_app(system.container), http=hasty) as served:
        slow = [connect(served.port) for _ in range(40)]
        for one in slow:
            one.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        begin = time.monotonic()
        assert httpx2.get(f"http://127.0.0.1:{served.port}/v1/health", timeout=BOUND_S).is_success
        for one in slow:
            assert read_all(one) == b""  # closed, nothing was answered
            one.close()
        assert time.monotonic() - begin < BOUND_S
        # a second request on a connection that was kept is timed as the first was
        with connect(served.port) as kept:
            kept.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert kept.recv(65_536).startswith(b"HTTP/1.1 200")
            kept.sendall(b"GET /v1/hea")
            assert b"200" not in read_all(kept)


def test_a_body_that_trickles_in_is_told_408_and_nothing_is_stored(system):
    party = system.party("trickler")
    app = Patience(create_app(system.container), most_bytes=1_000_000, body_s=0.4)
    head = (
        "POST /v1/routes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {party._token}\r\nIdempotency-Key: slow\r\nContent-Length: 1000\r\n\r\n"
    )
    with Served(app) as served, connect(served.port) as slow:
        slow.sendall(head.encode() + b'{"name": "x"')
        answer = read_all(slow)
        assert answer.startswith(b"HTTP/1.1 408")
        problem = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert (problem["code"], problem["status"]) == ("request_timeout", 408)
        assert httpx2.get(f"http://127.0.0.1:{served.port}/v1/health", timeout=BOUND_S).is_success
    assert party.get("/v1/routes")["data"] == []


# -- the end of a process -----------------------------------------------------------------------------


def test_a_request_under_way_ends_before_the_server_does(system):
    """Told to end, the server takes no more and finishes what it has begun."""
    seen = threading.Event()
    inner = create_app(system.container)

    async def app(scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/slow":
            seen.set()
            await asyncio.sleep(0.5)
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-length", b"4")],
                }
            )
            await send({"type": "http.response.body", "body": b"done"})
            return
        await inner(scope, receive, send)

    told = []
    with Served(app, timeout_graceful_shutdown=10) as served:
        url = f"http://127.0.0.1:{served.port}/slow"
        asking = threading.Thread(target=lambda: told.append(httpx2.get(url, timeout=BOUND_S).text))
        asking.start()
        assert seen.wait(BOUND_S)
    asking.join(BOUND_S)
    assert told == ["done"]


def test_a_served_process_ends_within_bounds_with_zero_when_it_is_told_to(system, tmp_path):
    """`yundan serve` in a process of its own: API, worker and gateway; SIGTERM while a request is under way."""
    settings = system.settings
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secrets = ("relayer_key", "registrar_key", "hash_key")
    env = {name: value for name, value in os.environ.items() if not name.startswith("YUNDAN_")} | {
        "YUNDAN_DEMO": "1", "YUNDAN_VAR": str(settings.var), "YUNDAN_RPC_URL": settings.rpc_url,
        "YUNDAN_CHAIN_ID": str(settings.chain_id), "YUNDAN_FINALITY_DEPTH": "0",
        "YUNDAN_PORT": str(port), "YUNDAN_GATEWAY_PORT": "0",
        **{f"YUNDAN_{name.upper()}": getattr(settings, name).get_secret_value() for name in secrets},
    }  # fmt: skip
    log = tmp_path / "serve.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "serve"],
            env=env,
            stderr=lines,
            stdout=lines,
            cwd=ROOT,
        )
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + STARTS_S
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if httpx2.get(f"{url}/v1/ready", timeout=BOUND_S).status_code == 200:
                    break
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.1)
        held = connect(port)  # half a request must not hold the end up
        held.sendall(b"POST /v1/routes HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(BOUND_S) == 0, log.read_text()[-2000:]
        assert time.monotonic() - begin < 30
        held.close()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(BOUND_S)


# -- plain http and https -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def account(system):
    open_account(system, system.party("served firm"), "served")
    return {"login": "served", "password": PASSWORD}


@pytest.fixture
def live(system):
    before = system.container.settings
    system.container.settings = before.model_copy(update={"demo": False})
    yield system
    system.container.settings = before


def test_over_plain_http_from_afar_our_own_page_signs_in_where_the_cookie_may_travel(
    system, account
):
    """A browser says no Sec-Fetch-Site there; it says the origin, since our pages ask it to."""
    with Served(create_app(system.container)) as served:
        url = f"http://127.0.0.1:{served.port}"
        page = httpx2.get(f"{url}/door", timeout=BOUND_S)
        assert page.headers["referrer-policy"] == "same-origin"
        headers = {"Host": "10.0.0.5:8000", "Accept": "text/html"}
        right = httpx2.post(
            f"{url}/door",
            data=account,
            headers=headers | {"Origin": "http://10.0.0.5:8000"},
            timeout=BOUND_S,
        )
        assert (right.status_code, "set-cookie" in right.headers) == (303, True)
        wrong = httpx2.post(
            f"{url}/door",
            data=account,
            headers=headers | {"Origin": "http://evil.example"},
            timeout=BOUND_S,
        )
        assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)


@pytest.mark.parametrize(("path", "body"), [("/door", "data"), ("/v1/sessions", "json")])
def test_where_the_cookie_needs_tls_plain_http_from_afar_is_told_so(live, account, path, body):
    headers = {"Origin": "http://10.0.0.5:8000", "Host": "10.0.0.5:8000", "Accept-Language": "en"}
    shut = live.http.post(
        path, headers=headers | {"Accept": "text/html"}, follow_redirects=False, **{body: account}
    )
    assert shut.status_code == 403
    assert "https" in shut.text
    assert "set-cookie" not in shut.headers
    near = live.http.post(
        path,
        headers={"Origin": "http://localhost:8000", "Host": "localhost:8000"},
        follow_redirects=False,
        **{body: account},
    )
    assert near.status_code in {201, 303}


def test_https_is_served_with_a_certificate_of_ones_own(live, account, tmp_path):
    cert, private = self_signed(tmp_path)
    tls = live.container.settings.model_copy(update={"tls_cert": cert, "tls_key": private})
    live.container.settings = tls
    app = create_app(live.container)
    with Served(app, ssl_certfile=cert, ssl_keyfile=private, http=PatientProtocol) as served:
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx2.Client(
            verify=trust, base_url=f"https://127.0.0.1:{served.port}", timeout=BOUND_S
        ) as browser:
            entered = browser.post("/v1/sessions", json=account, headers={"Sec-Fetch-Site": "none"})
            assert entered.status_code == 201
            assert entered.headers["set-cookie"].startswith("__Host-yundan=")
            assert "Secure" in entered.headers["set-cookie"]
            assert entered.headers["strict-transport-security"].startswith("max-age=31536000")
            assert browser.get("/v1/me").json()["role"] == "owner"


def self_signed(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, private
