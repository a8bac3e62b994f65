"""Closure as firms hear of it, and the state tables beside those of Solidity."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from chain import delivery
from chain.bindings.enums import TripState, WaybillState
from chain.bindings.structs import Waybill
from chain.delivery import HeldTrip
from chain.errors import InvalidValueError, UnexpectedStateError
from chain.waybill import (
    CHAIN_MOVES,
    MOST_TIERS,
    MOVES,
    ZERO,
    ClosureError,
    HeldWaybill,
    Stage,
    check_closure,
    check_fields,
    waybill_id,
)

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_769_442_600
H = "0x" + "11" * 32


def form(**changes):
    made = Waybill(
        parent=ZERO, issuer=1, performer=2, consignee=9, shipping_note=H, trip=ZERO, vehicle=ZERO,
        freight=100_000, quantity=12_000, load_from=NOW, deliver_by=NOW + 9_000, term_days=30,
        plan=ZERO, policy=ZERO, document=H, expires=NOW + 86_400, salt=H,
    )  # fmt: skip
    return replace(made, **changes)


def held(made, stage=Stage.ISSUED, tier=0):
    wid = waybill_id(made)
    return HeldWaybill(
        id=wid, form=made, root=wid, tier=tier, stage=stage, papers={}, freight=made.freight,
        quantity=made.quantity,
    )  # fmt: skip


PARENT = held(form())


def child(**changes):
    return form(**({"parent": PARENT.id, "issuer": 2, "performer": 3, "freight": 90_000} | changes))


def test_a_child_that_closes_is_taken():
    check_fields(child(), now=NOW)
    check_closure(child(), [PARENT], [])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"issuer": 4}, "issuer"),
        ({"consignee": 8}, "consignee"),
        ({"shipping_note": "0x" + "22" * 32}, "shipping_note"),
        ({"performer": 1}, "performer"),
        ({"load_from": NOW - 1}, "load_from"),
        ({"deliver_by": NOW + 9_001}, "load_from"),
        ({"freight": 100_001}, "freight"),
        ({"quantity": 12_001}, "quantity"),
    ],
)
def test_a_child_that_does_not_close_is_refused_by_the_field_at_fault(changes, field):
    with pytest.raises(ClosureError) as refused:
        check_closure(child(**changes), [PARENT], [])
    assert refused.value.field == field


def test_siblings_share_the_parents_freight_and_quantity():
    sibling = held(child(freight=60_000, quantity=6_000, performer=5))
    check_closure(child(freight=40_000, quantity=6_000), [PARENT], [sibling])
    with pytest.raises(ClosureError) as refused:
        check_closure(child(freight=40_001, quantity=6_000), [PARENT], [sibling])
    assert refused.value.facts == {"sum_fen": 100_001, "parent_fen": 100_000}


def test_a_leaf_has_no_children_and_a_chain_has_an_end():
    leaf = held(form(trip=H, vehicle=H, plan=H, policy=H))
    with pytest.raises(ClosureError):
        check_closure(child(), [leaf], [])
    with pytest.raises(ClosureError):
        check_closure(child(), [PARENT] * MOST_TIERS, [])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"freight": 0}, "freight"),
        ({"quantity": 0}, "quantity"),
        ({"deliver_by": NOW}, "deliver_by"),
        ({"expires": NOW}, "expires"),
        ({"consignee": 0}, "consignee"),
        ({"performer": 1}, "performer"),
        ({"consignee": 2}, "consignee"),
        ({"trip": H}, "vehicle"),
        ({"vehicle": H, "trip": H, "plan": H}, "policy"),
    ],
)
def test_a_field_out_of_bounds_is_named(changes, field):
    with pytest.raises(InvalidValueError) as refused:
        check_fields(form(**changes), now=NOW)
    assert refused.value.field == field


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(Stage, Stage)))
def test_a_waybill_moves_along_its_table_alone(current, wanted):
    waybill = replace(PARENT, stage=current)
    if wanted in MOVES[current] or wanted is current:
        assert waybill.move(wanted).stage is wanted
    else:
        with pytest.raises(UnexpectedStateError) as refused:
            waybill.move(wanted)
        assert refused.value.facts["current"] == current.value


@pytest.mark.parametrize(("current", "wanted"), list(itertools.product(TripState, TripState)))
def test_a_trip_moves_along_its_table_alone(current, wanted):
    trip = HeldTrip(H, PARENT.id, state=current)
    if wanted in delivery.MOVES[current] or wanted is current:
        assert trip.move(wanted).state is wanted
    else:
        with pytest.raises(UnexpectedStateError):
            trip.move(wanted)


def test_the_tables_name_every_state_of_solidity():
    source = (ROOT / "contracts" / "types" / "States.sol").read_text("utf-8")
    for name, table in (("WaybillState", CHAIN_MOVES), ("TripState", delivery.MOVES)):
        body = re.search(rf"enum {name} {{([^}}]*)}}", source)
        assert body is not None
        words = [word.strip() for word in body[1].split(",")]
        enum = WaybillState if name == "WaybillState" else TripState
        assert [state.name.replace("_", "").lower() for state in enum] == [w.lower() for w in words]
        assert set(table) == set(enum)
