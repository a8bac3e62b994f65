from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.schemas.signing import TypedData, read_message
from chain.bindings.structs import AdvanceRequest, Attestation, Payee
from chain.errors import InvalidValueError
from chain.ids import Address, Hash32, LineId, PartyId, TripId, WaybillId
from chain.ports import Domain

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
hashes = st.binary(min_size=32, max_size=32).map(lambda b: Hash32("0x" + b.hex()))
u64 = st.integers(0, 2**64 - 1)
payees = st.builds(
    Payee,
    party=u64.map(PartyId),
    waybill=hashes.map(WaybillId),
    account=hashes,
    amount=st.integers(0, 2**128 - 1),
)
requests = st.builds(
    AdvanceRequest,
    line=hashes.map(LineId),
    waybill=hashes.map(WaybillId),
    trip=hashes.map(TripId),
    principal=st.integers(0, 2**128 - 1),
    payees=st.lists(payees, max_size=3),
    fingerprint=hashes,
    decision=hashes,
    expires=u64,
    salt=hashes,
)


def message_of(form):
    return json.loads(TypedData.of(form, DOMAIN).model_dump_json(by_alias=True))["message"]


@given(requests)
def test_a_form_survives_the_wire(form):
    read = read_message(AdvanceRequest, message_of(form))
    assert read.to_abi() == form.to_abi()


EXAMPLE = {
    "trip": "0x" + "01" * 32, "attestor": "7", "version": 1, "vehicle": "0x" + "02" * 32,
    "plan": "0x" + "03" * 32, "policy": "0x" + "04" * 32, "root": "0x" + "05" * 32,
    "verdict": 1, "findings": "0x" + "06" * 32, "departedAt": "5", "arrivedAt": "6",
    "distanceM": 7, "fixes": 8, "lateBps": 9, "expires": "10", "salt": "0x" + "07" * 32,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"trip": "0x01"}, "message.trip"),
        ({"trip": "01" * 32}, "message.trip"),
        ({"trip": 1}, "message.trip"),
        ({"attestor": -1}, "message.attestor"),
        ({"attestor": str(2**64)}, "message.attestor"),
        ({"attestor": 1.0}, "message.attestor"),
        ({"attestor": True}, "message.attestor"),
        ({"attestor": " 7"}, "message.attestor"),
        ({"attestor": "٧"}, "message.attestor"),
        ({"lateBps": 65_536}, "message.lateBps"),
        ({"extra": 1}, "message.extra"),
    ],
)
def test_a_wrong_member_is_named(change, field):
    with pytest.raises(InvalidValueError) as refused:
        read_message(Attestation, EXAMPLE | change)
    assert refused.value.field == field


def test_a_missing_member_is_named():
    short = {name: value for name, value in EXAMPLE.items() if name != "salt"}
    with pytest.raises(InvalidValueError, match="needs salt"):
        read_message(Attestation, short)


def test_the_example_itself_is_read():
    assert read_message(Attestation, EXAMPLE).distance_m == 7
