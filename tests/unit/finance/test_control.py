"""What one must not do alone: proposed, approved by another, carried out once."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from chain.ids import PartyId
from finance.control import (
    MOVES,
    ActKind,
    EveryoneOfTheLender,
    FourEyesError,
    Proposal,
    ProposalState,
    carry_out,
    decide,
    withdraw,
)

NOW = dt.datetime(2026, 1, 26, tzinfo=dt.UTC)
LATE = NOW + dt.timedelta(days=8)
FORM = "0x" + "0f" * 32
MADE = Proposal(
    id="0x01",
    kind=ActKind.RAISE_LIMIT,
    lender=PartyId(7),
    subject="0x02",
    form=FORM,
    body={"limit": 5},
    amount_fen=500,
    maker="person:wu",
    made_at=NOW,
    expires_at=NOW + dt.timedelta(days=7),
)


class UpTo:
    """A checker's duty ends at an amount."""

    def __init__(self, most):
        self.most = most

    def may_make(self, _actor, _lender, _kind):
        return True

    def may_check(self, _actor, _lender, _kind, amount_fen):
        return amount_fen <= self.most


def check(proposal=MADE, *, checker="person:li", approve=True, now=NOW, duties=None):
    return decide(
        proposal,
        approve=approve,
        checker=checker,
        now=now,
        duties=duties or EveryoneOfTheLender(),
        note="seen",
    )


def test_a_second_person_approves_and_it_serves_once():
    approved = check()
    assert (approved.state, approved.checker) == (ProposalState.APPROVED, "person:li")
    done = carry_out(approved, form=FORM, now=NOW)
    assert done.state is ProposalState.DONE
    with pytest.raises(FourEyesError, match="second person"):
        carry_out(done, form=FORM, now=NOW)


def test_nobody_approves_his_own_proposal():
    with pytest.raises(FourEyesError, match="ask a second person"):
        check(checker="person:wu")


@pytest.mark.parametrize("state", [s for s in ProposalState if s is not ProposalState.APPROVED])
def test_only_what_was_approved_is_carried_out(state):
    with pytest.raises(FourEyesError):
        carry_out(replace(MADE, state=state), form=FORM, now=NOW)


def test_another_form_an_expired_one_or_none_is_refused():
    approved = check()
    with pytest.raises(FourEyesError, match="another form"):
        carry_out(approved, form="0x" + "0e" * 32, now=NOW)
    with pytest.raises(FourEyesError, match="expired"):
        carry_out(approved, form=FORM, now=LATE)
    with pytest.raises(FourEyesError, match="propose it first"):
        carry_out(None, form=FORM, now=NOW)
    with pytest.raises(FourEyesError, match="expired"):
        check(now=LATE)


def test_a_duty_may_have_a_limit():
    assert check(duties=UpTo(500)).state is ProposalState.APPROVED
    with pytest.raises(FourEyesError, match="may not approve"):
        check(duties=UpTo(499))


def test_only_its_maker_takes_it_back_and_a_decision_is_final():
    assert withdraw(MADE, by="person:wu", now=NOW).state is ProposalState.WITHDRAWN
    with pytest.raises(FourEyesError, match="its maker"):
        withdraw(MADE, by="person:li", now=NOW)
    refused = check(approve=False)
    for again in (lambda: check(refused), lambda: withdraw(refused, by="person:wu", now=NOW)):
        with pytest.raises(FourEyesError, match="cannot become"):
            again()
    assert all(not MOVES[s] for s in (ProposalState.DONE, ProposalState.REFUSED))
