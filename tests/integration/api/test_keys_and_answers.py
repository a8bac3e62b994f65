"""API keys and kept answers on real databases, two requests at once included."""

from __future__ import annotations

import datetime as dt
import threading

import pytest

from api.auth import ApiKeys, KeyRefusedError, Scope, check_key_request
from api.errors import IdempotencyKeyReusedError, UnauthenticatedError
from api.idempotency import KeptAnswers
from api.key_request import ApiKeyRequest
from chain.clock import FixedClock
from chain.errors import NotFoundError, SignatureRefusedError
from chain.ids import Address, Hash32, PartyId
from chain.ports import Domain
from chain.signers import LocalSigner

NOW = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
CLOCK = FixedClock(NOW)
DOMAIN = Domain(31337, Address("0x" + "11" * 20))
KEY = LocalSigner(bytes(range(1, 33)))
PARTY = PartyId(2**63 + 5)


def form(**change):
    values = {
        "party": PARTY,
        "scopes": "read waybills:write",
        "label": "back office",
        "issued_at": int(NOW.timestamp()),
        "salt": Hash32("0x" + "07" * 32),
    }
    return ApiKeyRequest(**values | change)


def check(request, signature=None, key=KEY.address):
    return check_key_request(
        request,
        signature or KEY.sign_typed_data(request, DOMAIN),
        domain=DOMAIN,
        key=key,
        now=NOW,
    )


@pytest.fixture
def storage(empty_storage):
    empty_storage.create_all()
    return empty_storage


def test_a_signed_request_opens_a_key_that_speaks_for_the_party(storage):
    scopes = check(form())
    with storage.write() as session:
        row, token = ApiKeys(session, CLOCK).open(form(), DOMAIN, scopes)
        assert token not in repr(row)
    with storage.read() as session:
        caller = ApiKeys(session, CLOCK).authenticate(token)
    assert caller.party_id == PARTY
    assert caller.scopes == {Scope.READ, Scope.WAYBILLS}


def test_a_request_opens_one_key_only(storage):
    with storage.write() as session:
        ApiKeys(session, CLOCK).open(form(), DOMAIN, {Scope.READ})
    with pytest.raises(KeyRefusedError, match="new salt"), storage.write() as session:
        ApiKeys(session, CLOCK).open(form(), DOMAIN, {Scope.READ})


def test_a_revoked_or_altered_token_is_unknown(storage):
    with storage.write() as session:
        row, token = ApiKeys(session, CLOCK).open(form(), DOMAIN, {Scope.READ})
    last = "0" if token[-1] != "0" else "1"
    for wrong in ("", "yk_", token[:-1], token[:-1] + last, token.upper(), token + "0"):
        with pytest.raises(UnauthenticatedError), storage.read() as session:
            ApiKeys(session, CLOCK).authenticate(wrong)
    with pytest.raises(NotFoundError), storage.write() as session:
        ApiKeys(session, CLOCK).revoke(row.key_id, PartyId(1))
    with storage.write() as session:
        ApiKeys(session, CLOCK).revoke(row.key_id, PARTY)
    with pytest.raises(UnauthenticatedError), storage.read() as session:
        ApiKeys(session, CLOCK).authenticate(token)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scopes": "read everything"}, "scopes"),
        ({"scopes": ""}, "scopes"),
        ({"label": ""}, "label"),
        ({"label": "a\u202eb"}, "label"),
        ({"issued_at": int(NOW.timestamp()) - 301}, "issued_at"),
        ({"issued_at": int(NOW.timestamp()) + 301}, "issued_at"),
        ({"issued_at": 2**64 - 1}, "issued_at"),
    ],
)
def test_a_bad_request_for_a_key_names_its_field(change, field):
    with pytest.raises(KeyRefusedError) as refused:
        check(form(**change))
    assert refused.value.field == field


def test_only_the_present_key_of_the_party_signs():
    other = LocalSigner(bytes(range(2, 34)))
    with pytest.raises(SignatureRefusedError):
        check(form(), other.sign_typed_data(form(), DOMAIN))
    with pytest.raises(SignatureRefusedError):
        check(form(), key=None)
    elsewhere = Domain(1, DOMAIN.verifying_contract)
    with pytest.raises(SignatureRefusedError):
        check(form(), KEY.sign_typed_data(form(), elsewhere))


def test_the_same_request_gets_the_same_answer_and_another_is_refused(storage):
    with storage.write() as session:
        answers = KeptAnswers(session, CLOCK)
        assert answers.begin("me", "k", "h1") is None
        answers.keep("me", "k", 201, '{"id":1}')
    with storage.write() as session:
        kept = KeptAnswers(session, CLOCK).begin("me", "k", "h1")
        assert (kept.status, kept.body) == (201, '{"id":1}')
        assert KeptAnswers(session, CLOCK).begin("you", "k", "h2") is None
    with pytest.raises(IdempotencyKeyReusedError), storage.write() as session:
        KeptAnswers(session, CLOCK).begin("me", "k", "h2")


def test_a_write_that_failed_keeps_no_answer(storage):
    def claim_and_fail():
        with storage.write() as session:
            KeptAnswers(session, CLOCK).begin("me", "k", "h1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        claim_and_fail()
    with storage.write() as session:
        assert KeptAnswers(session, CLOCK).begin("me", "k", "h2") is None


def test_two_identical_requests_at_once_do_the_work_once(storage):
    barrier, done, answers = threading.Barrier(8), [], []

    def send():
        barrier.wait()
        with storage.write() as session:
            kept = KeptAnswers(session, CLOCK).begin("me", "k", "h1")
            if kept is None:
                done.append(1)
                KeptAnswers(session, CLOCK).keep("me", "k", 201, "once")
                answers.append("once")
            else:
                answers.append(kept.body)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert answers == ["once"] * 8
