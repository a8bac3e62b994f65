"""Webhooks on a real socket and both databases: signed, ordered, retried, replayed, and nowhere private."""

from __future__ import annotations

import datetime as dt
import json
import socket
import threading

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from api import webhook_sender
from api.client import ClientError
from api.object_ids import About
from api.webhook_sender import Sender
from api.webhooks.addresses import read_networks
from api.webhooks.deliveries import BACK_OFF_S, CLAIM, Attempt, Deliveries
from api.webhooks.endpoints import Endpoints
from api.webhooks.events import Events
from api.webhooks.secrets import Sealer, new_secret
from chain.clock import FixedClock
from chain.ids import PartyId
from chain.sealing import Keyring
from tests.integration.api.receiver import Receiver
from tests.integration.api.system import System

ME = PartyId(77)
BEGIN = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
LOCAL = "127.0.0.0/8"


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


# -- the whole way ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    made = System(tmp_path_factory.mktemp("hooks"))
    made.container.settings = made.settings.model_copy(update={"webhook_networks": LOCAL})
    yield made
    made.close()


@pytest.fixture(scope="module")
def firm(system):
    return system.party("listener")


def test_what_the_chain_says_arrives_signed(system, firm, receiver):
    made = firm.post("/v1/webhook_endpoints", {"url": receiver.url, "types": ["party.*"]})
    secret = firm.get(f"/v1/webhook_endpoints/{made['id']}/secret")["data"][0]["secret"]
    assert "secret" not in made
    firm.post(f"/v1/webhook_endpoints/{made['id']}/test", {})
    assert system.container.webhooks.send_all() == 1
    (headers, body) = receiver.seen[0]
    told = Webhook(secret).verify(body, headers)
    assert told["type"] == "webhook_endpoint.test"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"party", b"Party"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)
    (log,) = firm.get(f"/v1/webhook_endpoints/{made['id']}/deliveries")["data"]
    assert (log["state"], log["last_status"], log["attempts"]) == ("delivered", 200, 1)
    shown = firm.get(f"/v1/webhook_deliveries/{log['id']}")["log"]
    assert (shown[0]["answer"], shown[0]["address"]) == ("noted", "127.0.0.1")
    events = firm.get("/v1/events")["data"]
    assert [one["type"] for one in events] == ["webhook_endpoint.test", "party.registered"]
    assert events[1]["body"]["data"]["facts"]["block"] > 0
    assert firm.get("/v1/events", type="party.registered")["data"] == events[1:]
    firm._send("DELETE", f"/v1/webhook_endpoints/{made['id']}", once="gone")


def test_nobody_else_sees_receivers_events_or_the_log(system, firm, receiver):
    made = firm.post("/v1/webhook_endpoints", {"url": receiver.url, "types": ["*"]})
    log = firm.post(f"/v1/webhook_endpoints/{made['id']}/test", {})
    stranger = system.party("eavesdropper")
    event = firm.get("/v1/events")["data"][0]["id"]
    for path in (
        f"/v1/webhook_endpoints/{made['id']}", f"/v1/webhook_endpoints/{made['id']}/secret",
        f"/v1/webhook_endpoints/{made['id']}/deliveries", f"/v1/webhook_deliveries/{log['id']}",
        f"/v1/events/{event}",
    ):  # fmt: skip
        with pytest.raises(ClientError) as refused:
            stranger.get(path)
        assert refused.value.status == 404, path
    for path, body in (("rotate", {}), ("test", {}), ("replay", {"since": "2026-01-01T00:00:00Z"})):
        with pytest.raises(ClientError) as refused:
            stranger.post(f"/v1/webhook_endpoints/{made['id']}/{path}", body)
        assert refused.value.status == 404, path
    assert stranger.get("/v1/webhook_endpoints")["data"] == []
    assert event not in {one["id"] for one in stranger.get("/v1/events")["data"]}
    firm._send("DELETE", f"/v1/webhook_endpoints/{made['id']}", once="gone-2")


def test_a_change_needs_the_object_as_it_was_read(system, firm, receiver):
    made = firm.post("/v1/webhook_endpoints", {"url": receiver.url, "types": ["*"]})
    path, auth = f"/v1/webhook_endpoints/{made['id']}", {"Authorization": f"Bearer {firm._token}"}
    read = system.http.get(path, headers=auth)
    etag = read.headers["etag"]
    same = system.http.get(path, headers=auth | {"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")

    def change(once, match, **body):
        headers = auth | {"Idempotency-Key": once, "If-Match": match}
        return system.http.patch(path, json=body, headers=headers)

    assert change("c-1", etag, description="first").status_code == 200
    stale = change("c-2", etag, description="second")
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    assert change("c-3", "*", description="third").json()["description"] == "third"
    headers = auth | {"Idempotency-Key": "c-4", "If-Match": etag}
    assert system.http.delete(path, headers=headers).status_code == 412


def test_the_same_secret_twice_is_refused_and_nothing_is_stored(system, firm, receiver):
    mine, other = new_secret(), system.party("other firm")
    body = {"url": receiver.url, "types": ["*"], "secret": mine}
    made = firm.post("/v1/webhook_endpoints", body)
    before = len(firm.get("/v1/webhook_endpoints")["data"])
    for client in (firm, other):
        with pytest.raises(ClientError) as refused:
            client.post("/v1/webhook_endpoints", body)
        assert (refused.value.status, refused.value.reason) == (409, "webhook_secret_reused")
    assert len(firm.get("/v1/webhook_endpoints")["data"]) == before
    assert other.get("/v1/webhook_endpoints")["data"] == []
    path = f"/v1/webhook_endpoints/{made['id']}/rotate"
    firm.post(path, {})
    with pytest.raises(ClientError):  # not even its own old one
        firm.post(path, {"secret": mine})


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"url": "https://127.0.0.1.nip.invalid/"}, "webhook_url_refused", "url"),
        ({"url": "http://10.0.0.1/"}, "webhook_url_refused", "url"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "webhook_url_refused", "url"),
        ({"url": "https://[::1]/"}, "webhook_url_refused", "url"),
        ({"types": ["weather.changed"]}, "invalid_value", "types"),
        ({"types": []}, "invalid_request", "types"),
        ({"secret": "whsec_AAAA"}, "webhook_secret_refused", "secret"),  # pragma: allowlist secret
        ({"description": "a\u202eb"}, "invalid_request", "description"),
    ],
)
def test_a_bad_receiver_is_told_and_not_kept(firm, receiver, change, code, field):
    before = firm.get("/v1/webhook_endpoints")
    with pytest.raises(ClientError) as refused:
        firm.post("/v1/webhook_endpoints", {"url": receiver.url, "types": ["*"]} | change)
    assert (refused.value.reason, refused.value.problem["field"]) == (code, field)
    assert firm.get("/v1/webhook_endpoints") == before


# -- order, pauses, crash, on both databases ----------------------------------------------------------


class Rig:
    """Deliveries over a database and a clock that is moved by hand; a container as the sender asks for."""

    def __init__(self, storage):
        self.storage, self.wall, self.sealer = (
            storage,
            FixedClock(BEGIN),
            Sealer(Keyring([bytes(range(32))]), b"\x05" * 32),
        )
        self.session = None

    def write(self):
        return self._in(self.storage.write)

    def read(self):
        return self._in(self.storage.read)

    def _in(self, begin):
        import contextlib
        import types

        @contextlib.contextmanager
        def work():
            with begin() as session:
                yield types.SimpleNamespace(
                    events=Events(session, self.wall),
                    endpoints=Endpoints(session, self.wall, self.sealer),
                    deliveries=Deliveries(session, self.wall),
                )

        return work()

    def endpoint(self, url="https://hooks.example/", types=("*",)):
        with self.write() as to:
            return to.endpoints.create(ME, url, types, description="").id

    def publish(self, number, about="0xaa", kind="trip.loaded"):
        with self.write() as to:
            return to.events.publish(
                kind, About("trip", about), [ME], facts={"n": number}, source=f"s{number}"
            )

    def claim(self):
        with self.write() as to:
            return to.deliveries.claim()

    def record(self, due, status, **more):
        with self.write() as to:
            return to.deliveries.record(due, Attempt(self.wall.now(), "", status, 5, **more))

    def later(self, seconds):
        self.wall.advance_to(self.wall.now() + dt.timedelta(seconds=seconds))


@pytest.fixture
def rig(empty_storage):
    empty_storage.create_all()
    return Rig(empty_storage)


def facts(due):
    return json.loads(due.payload)["data"]["facts"]["n"]


def test_a_happening_is_told_once_to_each_subscriber(rig):
    every, some, none = (
        rig.endpoint(),
        rig.endpoint(types=("trip.*",)),
        rig.endpoint(types=("line.*",)),
    )
    assert rig.publish(1) == 1
    assert rig.publish(1) == 0  # the chain was read again
    due = rig.claim()
    assert [one.endpoint for one in due] == [every, some]
    assert none not in {one.endpoint for one in due}
    assert len({one.event for one in due}) == 1


def test_events_of_one_object_arrive_in_order_and_others_do_not_wait(rig):
    rig.endpoint()
    for number, about in ((1, "0xaa"), (2, "0xaa"), (3, "0xbb")):
        rig.publish(number, about)
    first = rig.claim()
    assert [facts(one) for one in first] == [1, 3]
    assert rig.claim() == []  # claimed, and 2 waits behind 1
    assert rig.record(first[0], 500) == "pending"
    assert rig.record(first[1], 204) == "delivered"
    assert rig.claim() == []
    rig.later(BACK_OFF_S[0] * 1.3)
    (again,) = rig.claim()
    assert (facts(again), again.attempt, again.event) == (1, 2, first[0].event)
    assert rig.record(again, 200) == "delivered"
    assert [facts(one) for one in rig.claim()] == [2]


def test_pauses_grow_until_it_is_given_up_and_the_next_goes_on(rig):
    endpoint = rig.endpoint()
    rig.publish(1), rig.publish(2)
    pauses = []
    for count in range(len(BACK_OFF_S) + 1):
        (due,) = rig.claim()
        before = rig.wall.now()
        state = rig.record(due, None, error="no answer in time")
        if count < len(BACK_OFF_S):
            assert state == "pending"
            with rig.read() as to:
                pauses.append(
                    (to.deliveries.list_of(endpoint, limit=2)[1].next_at - before).total_seconds()
                )
            rig.later(pauses[-1] + 1)
    assert state == "given_up"
    assert all(base <= found <= base * 1.2 for base, found in zip(BACK_OFF_S, pauses, strict=True))
    (due,) = rig.claim()
    assert facts(due) == 2


def test_a_receiver_may_ask_for_more_time_and_may_be_gone(rig):
    rig.endpoint()
    rig.publish(1)
    (due,) = rig.claim()
    rig.record(due, 503, retry_after_s=600)
    rig.later(599)
    assert rig.claim() == []
    rig.later(2)
    (due,) = rig.claim()
    assert rig.record(due, 410) == "given_up"


def test_a_process_that_died_while_sending_leaves_it_to_the_next(rig):
    rig.endpoint()
    rig.publish(1)
    (due,) = rig.claim()
    rig.later(CLAIM.total_seconds() + 1)
    (again,) = rig.claim()
    assert (again.delivery, again.attempt) == (due.delivery, 1)
    assert rig.record(again, 200) == "delivered"
    assert rig.record(due, 500) == "delivered"  # the first one's late word changes nothing


def test_two_senders_never_claim_the_same(rig):
    rig.endpoint(), rig.endpoint()
    for number in range(12):
        rig.publish(number, f"0x{number:02x}")
    barrier, taken = threading.Barrier(4), []

    def work():
        barrier.wait()
        taken.extend(one.delivery for one in rig.claim())

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(taken) == len(set(taken)) > 0


def test_what_was_given_up_is_sent_again_with_the_same_id(rig):
    endpoint = rig.endpoint()
    for number in (1, 2, 3):
        rig.publish(number, f"0x{number}")
    due = rig.claim()
    for one in due[:2]:
        rig.record(one, 410)
    rig.record(due[2], 200)
    with rig.write() as to:
        assert to.deliveries.replay_given_up(endpoint, BEGIN - dt.timedelta(days=1)) == 2
    with rig.write() as to:  # twice is once: they are on their way
        assert to.deliveries.replay_given_up(endpoint, BEGIN - dt.timedelta(days=1)) == 0
    assert [one.event for one in rig.claim()] == [due[0].event, due[1].event]


def test_while_secrets_change_both_sign(rig, receiver):
    rig.wall = FixedClock(dt.datetime.now(dt.UTC))  # receivers compare with their own clock
    endpoint = rig.endpoint(receiver.url)
    with rig.write() as to:
        (old,) = to.endpoints.secrets_of(endpoint)
        to.endpoints.rotate(endpoint, ME, old_for=dt.timedelta(hours=24))
        new, beside = to.endpoints.secrets_of(endpoint)
    assert (beside.secret, new.retires_at) == (old.secret, None)
    rig.publish(1)
    sender = Sender(rig, read_networks(LOCAL))
    assert sender.send_all() == 1
    headers, body = receiver.seen[0]
    for secret in (old.secret, new.secret):
        assert Webhook(secret).verify(body, headers)["type"] == "trip.loaded"
    sender.close()
    rig.later(25 * 3600)
    with rig.read() as to:
        assert [one.secret for one in to.endpoints.secrets_of(endpoint)] == [new.secret]


# -- what receivers do to us --------------------------------------------------------------------------


def test_a_name_that_turns_private_is_not_followed(rig, receiver):
    """DNS rebinding: public when it was registered, ourselves when it is asked again."""
    rig.endpoint(f"https://rebind.example:{receiver.url.split(':')[2].split('/')[0]}/")
    rig.publish(1)
    sender = Sender(rig, (), resolver=lambda *_: ["127.0.0.1"])
    sender.send_all()
    sender.close()
    assert receiver.seen == []
    with rig.read() as to:
        (due,) = to.deliveries.list_of(to.endpoints.list_of(ME)[0].id, limit=9)
    assert "not a public address" in due.last_error


def test_a_redirect_is_not_followed(rig, receiver):
    inside = Receiver()
    receiver.answers, receiver.headers = [307], {"Location": inside.url}
    endpoint = rig.endpoint(receiver.url)
    rig.publish(1)
    sender = Sender(rig, read_networks(LOCAL))
    sender.send_all()
    sender.close()
    with rig.read() as to:
        (due,) = to.deliveries.list_of(endpoint, limit=9)
    assert (due.last_status, due.last_error, due.state) == (
        307,
        "a redirect is not followed",
        "pending",
    )
    assert inside.seen == []
    inside.close()


def test_an_answer_that_drips_is_cut(rig, monkeypatch):
    monkeypatch.setattr(webhook_sender, "MOST_S", 0.6)
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip():
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not stop.wait(0.1):
                try:
                    connection.sendall(b"X-Drip: y\r\n")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    endpoint = rig.endpoint(f"http://127.0.0.1:{server.getsockname()[1]}/")
    rig.publish(1)
    sender = Sender(rig, read_networks(LOCAL))
    sender.send_all()
    sender.close()
    stop.set()
    with rig.read() as to:
        (due,) = to.deliveries.list_of(endpoint, limit=9)
        (log,) = to.deliveries.list_attempts(due.id)
    assert (due.state, due.last_error) == ("pending", "no answer in time")
    assert log.ms < 3000
    server.close()


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x00" * 2000, b"HTTP/1.1 999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"b" * 90_000],
)
def test_garbage_for_an_answer_ends_nothing(rig, answer):
    server = socket.create_server(("127.0.0.1", 0))

    def once():
        connection, _ = server.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(answer)

    threading.Thread(target=once, daemon=True).start()
    endpoint = rig.endpoint(f"http://127.0.0.1:{server.getsockname()[1]}/")
    rig.publish(1)
    sender = Sender(rig, read_networks(LOCAL))
    sender.send_all()
    sender.close()
    with rig.read() as to:
        (due,) = to.deliveries.list_of(endpoint, limit=9)
    assert due.state == "pending"
    assert due.last_error
    server.close()
