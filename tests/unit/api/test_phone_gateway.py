"""Codes to phones over a real gateway on this machine: what it gets, and what happens when it will not or cannot."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from api.bootstrap import Container
from api.identity import codes
from api.identity.codes import HttpSender, NoSender, SandboxSender
from api.identity.errors import NoSenderError, SmsFailedError

TOKEN = "gateway-token-of-a-test"  # pragma: allowlist secret
PHONE, TEXT = "+8613800000000", "运单 Yundan: 123456 是您的验证码"


class Gateway:
    """The operator's gateway: keeps what it is sent and answers as it is told."""

    def __init__(self):
        self.seen, self.status, self.silent_s = [], 202, 0.0
        gateway = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                gateway.seen.append((self.path, dict(self.headers), json.loads(body)))
                time.sleep(gateway.silent_s)
                self.send_response(gateway.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/texts"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def gateway():
    made = Gateway()
    yield made
    made.close()


def test_the_gateway_gets_phone_and_text_under_the_operators_token(gateway):
    HttpSender(gateway.url, TOKEN).send(PHONE, TEXT)
    HttpSender(gateway.url, "").send(PHONE, "again")
    (path, headers, body), (_, bare, _) = gateway.seen
    assert (path, body) == ("/texts", {"phone": PHONE, "text": TEXT})
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"] == "application/json"
    assert "Authorization" not in bare


@pytest.mark.parametrize("status", [302, 400, 401, 429, 500, 503])
def test_a_gateway_that_refuses_is_told_by_its_status_and_by_nothing_else(gateway, status):
    gateway.status = status
    with pytest.raises(SmsFailedError) as refused:
        HttpSender(gateway.url, TOKEN).send(PHONE, TEXT)
    assert refused.value.facts == {"status": status}
    assert len(gateway.seen) == 1  # no redirect is followed with the token


def test_a_gateway_that_is_away_or_silent_fails_soon_and_tells_no_address(gateway, monkeypatch):
    monkeypatch.setattr(codes, "GATEWAY_S", 0.3)
    gateway.silent_s = 2.0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{free.getsockname()[1]}/texts"
    for url in (gateway.url, away):
        begin = time.monotonic()
        with pytest.raises(SmsFailedError) as failed:
            HttpSender(url, TOKEN).send(PHONE, TEXT)
        assert time.monotonic() - begin < 1.5
        said = f"{failed.value} {failed.value.facts}"
        assert "127.0.0.1" not in said
        assert TOKEN not in said
        assert failed.value.__cause__ is None


def test_outside_a_demo_codes_go_to_the_operators_gateway_and_without_one_nobody_pretends(
    gateway, tmp_path
):
    """The sender that the composition root builds: in a demo, with a gateway, and without."""

    def sender(*, demo=False, url=""):
        told = SimpleNamespace(demo=demo, var=tmp_path, sms_url=url, sms_token=SecretStr(TOKEN))
        return Container.code_sender.func(SimpleNamespace(settings=told))

    assert isinstance(sender(demo=True, url=gateway.url), SandboxSender)
    sender(url=gateway.url).send(PHONE, TEXT)
    assert gateway.seen[0][1]["Authorization"] == f"Bearer {TOKEN}"
    assert isinstance(sender(), NoSender)
    with pytest.raises(NoSenderError):
        sender().send(PHONE, TEXT)
