"""Metrics, logs that lead from a request to its event and tell no names, and a start that tells its settings."""

from __future__ import annotations

import io
import json
import re

import pytest
import structlog

from api.startup import configure_logs
from tests.integration.api.people import PASSWORD, open_account, signed_in

SECRETS = re.compile(r"yk_[0-9a-f]{16}_|ses_[0-9a-f]{16}\.|[0-9a-f]{64}")


@pytest.fixture
def logged():
    """The lines that a served process would write."""
    lines = io.StringIO()
    before = structlog.get_config()
    configure_logs()
    structlog.configure(
        logger_factory=structlog.PrintLoggerFactory(lines), cache_logger_on_first_use=False
    )
    yield lambda: [json.loads(line) for line in lines.getvalue().splitlines()]
    structlog.configure(**before)


def test_a_request_leads_to_its_call_and_to_its_event(system, logged):
    party = system.client("traced")
    party.register(name_zh="可追踪", name_en="Traced", kind="driver")
    system.settle()
    lines = logged()
    (queued,) = [one for one in lines if one["event"] == "call_queued"]
    (asked,) = [one for one in lines if one.get("route") == "/v1/parties"]
    assert asked["request_id"] == queued["request_id"]
    landed = [one for one in lines if one["event"] == "event" and queued["key"] in one["calls"]]
    assert [one["event_name"] for one in landed] == ["PartyRegistered"]
    assert landed[0]["transaction"].startswith("0x")


def test_no_log_line_carries_a_name_a_login_a_plate_or_a_secret(system, logged):
    party = system.party("silent", "driver")
    open_account(system, party, "quiet@login.example")
    browser = signed_in(system, "quiet@login.example")
    browser.sign_in("quiet@login.example", "a wrong password")
    browser.post("/v1/me/phone/code", json={"phone": "13712345678"})
    system.http.get("/v1/positions/13712345678", headers={"X-Request-Id": "r1"})
    system.http.get("/v1/receipts/" + "t" * 43)
    system.http.get("/v1/osmand/secret-code-of-a-terminal?id=13712345678&lat=31.2&lon=121.5")
    browser.post("/v1/waybills", json={"plate": "沪A·12345", "nonsense": "\x00"})
    text = json.dumps(logged(), ensure_ascii=False)
    assert len(logged()) > 10
    told = [one for one in logged() if one["event"] in {"signed_in", "refused"}]
    assert {one.get("method") for one in told} >= {"password"}  # who came in, and how
    assert {one.get("code") for one in told} >= {"sign_in_refused", "unauthenticated"}
    for word in (
        "silent公司", "Firm silent", "quiet@login", "Person quiet", PASSWORD, "13712345678",
        "沪A", "t" * 43, "secret-code", "31.2", "121.5", party._token, browser.csrf,
    ):  # fmt: skip
        assert word not in text, word
    for line in logged():
        public = {k: v for k, v in line.items() if k not in {"transaction", "calls", "key", "trip"}}
        assert not SECRETS.search(json.dumps(public)), line


def test_metrics_tell_trips_latency_queue_and_differences_and_no_names(system):
    system.http.get("/v1/trips/0x" + "01" * 32)
    text = system.http.get("/metrics").text
    for line in (
        'yundan_trips{stage="loaded"}', "yundan_release_seconds_bucket", 'yundan_outbox{state="queued"} 0.0',
        "yundan_open_differences 0.0", "yundan_handled_block ", "yundan_outbox_oldest_seconds",
        'route="/v1/trips/{trip}"',
    ):  # fmt: skip
        assert line in text, line
    assert "0x01" not in text


def test_metrics_are_for_this_machine_or_the_operator(system):
    before = system.container.settings
    secret = type(before.metrics_token)("ab" * 32)
    system.container.settings = before.model_copy(update={"demo": False, "metrics_token": secret})
    try:
        assert system.http.get("/metrics").status_code == 404
        wrong = system.http.get("/metrics", headers={"Authorization": "Bearer " + "cd" * 32})
        assert wrong.status_code == 404
        right = system.http.get("/metrics", headers={"Authorization": "Bearer " + "ab" * 32})
        assert right.status_code == 200
    finally:
        system.container.settings = before
