"""The bank: each payout instructed under its own sequence, paid once, in the amount that the chain had queued."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from chain.bindings import events
from chain.ids import Hash32
from finance.iso20022 import Outcome, read_order, read_status
from finance.payouts import end_to_end_id, payment_sequence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.verifier.money import Loan
    from api.verifier.report import Section
    from api.verifier.story import Story


def check_payouts(section: Section, story: Story, loans: Mapping[str, Loan], given: Any) -> None:
    """Compares what was instructed and what the bank booked with what the chain queued and burned."""
    mine = {one.event.payout for one in story.of(events.PayeePaid) if one.event.advance in loans}
    listed = {one["payout"]: one for one in given or ()}
    for payout in sorted(listed.keys() - mine):
        section.red("payout.unfounded", payout, "a payout that no release has queued")
    for payout in sorted(mine):
        _check_one(section, story, payout, listed.get(payout))


def _check_one(section: Section, story: Story, payout: Hash32, told: Any) -> None:
    (queued,) = (one.event for one in story.of(events.PayoutQueued) if one.event.payout == payout)
    accounts = {queued.account} | {
        one.event.account for one in story.of(events.PayoutRedirected) if one.event.payout == payout
    }
    paid = next(
        (one.event for one in story.of(events.PayoutPaid) if one.event.payout == payout), None
    )
    if told is None:
        reason = "the bank's messages are not in the pack"
        if paid is not None:
            reason += f"; both custodians say: paid under {paid.sequence[:14]}…"
        section.unknown("payout.messages", payout, reason)
        return
    legs = told["legs"]
    odd = [
        leg["leg"]
        for number, leg in enumerate(legs, 1)
        if leg["leg"] != number
        or leg["sequence"] != payment_sequence(payout, number)
        or leg["end_to_end_id"] != end_to_end_id(Hash32(leg["sequence"]))
        or leg["amount_fen"] != queued.amount
        or leg["account"] not in accounts
    ]
    section.require(
        not odd,
        "payout.legs",
        payout,
        f"{len(legs)} instructions, each {queued.amount} fen to a signed account, each once-only",
        f"instructions {odd} are for another amount, account or sequence",
    )
    _check_orders(section, payout, legs)
    _check_answers(section, payout, legs, None if paid is None else paid.sequence)
    booked = told["booked"]
    if paid is None:
        said = (
            "the bank has booked it, the chain not yet" if booked else "the bank has not paid yet"
        )
        section.unknown("payout.paid", payout, said)
        return
    section.require(
        booked is not None
        and paid.sequence in {leg["sequence"] for leg in legs}
        and (booked["amount_fen"], booked["value_day"]) == (queued.amount, paid.value_day),
        "payout.paid",
        payout,
        f"{queued.amount} fen booked by the bank on day {paid.value_day}, burned on its word",
        "the bank's booking is not what was burned",
    )


def _check_orders(section: Section, payout: Hash32, legs: Any) -> None:
    """The bank's orders (ISO 20022 pain.001), where they are shown: each says what its leg says."""
    for leg in legs:
        if leg["order"] is None:
            continue
        raw = leg["order"].encode()
        order = read_order(raw)
        section.require(
            hashlib.sha256(raw).hexdigest() == leg["order_sha256"]
            and (order.end_to_end_id, order.amount_fen)
            == (leg["end_to_end_id"], leg["amount_fen"]),
            "payout.order",
            f"{payout} leg {leg['leg']}",
            f"the order is for {leg['amount_fen']} fen under {leg['end_to_end_id']}",
            "the order is for another amount or under another number",
        )


def _check_answers(section: Section, payout: Hash32, legs: Any, paid: str | None) -> None:
    """What the bank answered (pain.002), where it is shown: of this leg and amount, and no refusal of what it paid."""
    for leg in legs:
        for told in leg["answers"]:
            if told["answer"] is None:
                continue
            raw = told["answer"].encode()
            said = read_status(raw)
            section.require(
                hashlib.sha256(raw).hexdigest() == told["sha256"]
                and said.end_to_end_id == leg["end_to_end_id"]
                and said.amount_fen in {None, leg["amount_fen"]}
                and not (paid == leg["sequence"] and said.outcome is Outcome.REJECTED),
                "payout.answer",
                f"{payout} leg {leg['leg']}",
                f"the bank answered {said.code} to {leg['end_to_end_id']}",
                f"the bank's answer {said.code} is of another payment or amount, or refuses what it paid",
            )
