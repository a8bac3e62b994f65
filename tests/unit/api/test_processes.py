"""What a worker says when it starts."""

from __future__ import annotations

import socket
from types import SimpleNamespace

from api.processes import bank_advice


def advice(url):
    return bank_advice(SimpleNamespace(bank_url=url))


def test_a_worker_without_a_bank_says_what_to_start():
    assert "`yundan bank`" in advice("")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"`yundan bank --port {port}`" in advice(f"http://127.0.0.1:{port}")
    with socket.socket() as bank:
        bank.bind(("127.0.0.1", 0))
        bank.listen()
        assert advice(f"http://127.0.0.1:{bank.getsockname()[1]}/v1") == ""
