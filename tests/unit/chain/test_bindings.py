"""The generated classes: what goes out decodes to what went in."""

from __future__ import annotations

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from chain.abi import bytes32, hash32, json_value
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.enums import AdvanceState, Verdict, WaybillState
from chain.bindings.errors import ERRORS, WaybillFreightExceedsParent, WaybillUnexpectedState
from chain.bindings.events import EVENTS, DriveAttested, WaybillMoved
from chain.bindings.structs import AdvanceRequest, Payee
from chain.bindings.waybill_registry import WaybillRegistry
from chain.ids import ZERO32, Hash32, PartyId, TripId, WaybillId
from chain.reverts import understand_revert
from chain.solidity_words import snake

ONE = Hash32("0x" + "01" * 32)


def test_a_write_is_its_selector_and_arguments():
    call = DeliveryRegistry.expire(TripId(ONE))
    assert (call.contract, call.function) == ("DeliveryRegistry", "expire")
    assert call.data == keccak(text="expire(bytes32)")[:4] + bytes32(ONE)
    assert call.gas is None
    assert call.with_gas(5).gas == 5


def test_a_read_understands_its_answer():
    read = WaybillRegistry.trip_terms(TripId(ONE))
    raw = encode(
        ["uint32", "bytes32", "bytes32", "bytes32"], [4, b"\x01" * 32, bytes(32), b"\x02" * 32]
    )
    assert read.decode(raw) == (4, ONE, ZERO32, Hash32("0x" + "02" * 32))


def test_a_struct_survives_the_way_out_and_back():
    request = AdvanceRequest(
        line=ONE,
        waybill=WaybillId(ONE),
        trip=TripId(ZERO32),
        principal=2**128 - 1,
        payees=(Payee(PartyId(2**64 - 1), WaybillId(ONE), ZERO32, 1),),
        fingerprint=ONE,
        decision=ONE,
        expires=0,
        salt=ZERO32,
    )
    types = "(bytes32,bytes32,bytes32,uint128,(uint64,bytes32,bytes32,uint128)[],bytes32,bytes32,uint64,bytes32)"
    assert (
        AdvanceRequest.from_abi(decode([types], encode([types], [request.to_abi()]))[0]) == request
    )


def test_an_event_is_read_from_its_log():
    topics = [WaybillMoved.TOPIC, b"\x01" * 32]
    data = encode(["uint8", "uint8"], [1, 3])
    assert WaybillMoved.decode(topics, data) == WaybillMoved(
        WaybillId(ONE), WaybillState.ISSUED, WaybillState.DELIVERED
    )
    with pytest.raises(ValueError, match="not of WaybillMoved"):
        WaybillMoved.decode([b"\x09" * 32, b"\x01" * 32], data)
    with pytest.raises(ValueError, match="not a valid WaybillState"):
        WaybillMoved.decode(topics, encode(["uint8", "uint8"], [1, 99]))
    assert EVENTS[DriveAttested.TOPIC] is DriveAttested


def test_registers_hold_what_their_keys_say():
    assert all(keccak(text=event.SIGNATURE) == topic for topic, event in EVENTS.items())
    assert all(keccak(text=error.SIGNATURE)[:4] == key for key, error in ERRORS.items())
    assert len(ERRORS) > 90
    assert [int(state) for state in AdvanceState] == list(range(len(AdvanceState)))
    assert Verdict.PASS == 1


def test_a_refusal_is_told_with_its_arguments():
    data = WaybillFreightExceedsParent.SELECTOR + encode(
        ["bytes32", "uint256", "uint256"], [b"\x01" * 32, 2**60, 500]
    )
    refusal = understand_revert(data)
    assert refusal.name == "WaybillFreightExceedsParent"
    assert refusal.facts == {"parent": ONE, "sum": str(2**60), "freight": 500}
    assert refusal.text == f"WaybillFreightExceedsParent(parent={ONE}, sum={2**60}, freight=500)"
    error = refusal.as_error("WaybillRegistry.issue")
    assert error.code == "contract_refused"
    assert error.facts["error"] == "WaybillFreightExceedsParent"


def test_states_in_a_refusal_are_numbers_json_can_carry():
    data = WaybillUnexpectedState.SELECTOR + encode(
        ["bytes32", "uint8", "uint8"], [b"\x01" * 32, 1, 3]
    )
    facts = understand_revert(data).facts
    assert facts["current"] == 1
    assert type(facts["current"]) is int


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        (b"", "", "without saying why"),
        (keccak(text="Error(string)")[:4] + encode(["string"], ["no luck"]), "Error", "no luck"),
        (keccak(text="Panic(uint256)")[:4] + encode(["uint256"], [0x11]), "Panic", "range"),
        (b"\x01\x02\x03\x04\x05", "Unknown", "0x0102030405"),
        (WaybillFreightExceedsParent.SELECTOR + b"\x00", "Unknown", "0x"),
        (b"\x01", "Unknown", "0x01"),
    ],
)
def test_what_is_not_ours_is_told_and_never_guessed(data, name, text):
    refusal = understand_revert(data)
    assert refusal.name == name
    assert text in refusal.text


@pytest.mark.parametrize(
    ("solidity", "python"),
    [
        ("shippingNote", "shipping_note"),
        ("latE6", "lat_e6"),
        ("from", "from_"),
        ("WaybillRegistry", "waybill_registry"),
        ("ADMIN_ROLE", "admin_role"),
        ("InTransit", "in_transit"),
        ("eip712Domain", "eip712_domain"),
    ],
)
def test_names_are_turned_the_same_way_everywhere(solidity, python):
    assert snake(solidity) == python


def test_json_values_never_lose_a_digit():
    assert json_value(2**53 - 1) == 2**53 - 1
    assert json_value(2**53) == "9007199254740992"
    assert json_value(value=True) is True
    assert json_value(b"\x01\xff") == "0x01ff"
    assert json_value((1, (2**70,))) == [1, [str(2**70)]]
    assert hash32(bytes32(ONE)) == ONE
