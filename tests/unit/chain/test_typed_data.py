"""EIP-712 from the bindings, against encodings made by hand and by forge."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak

from chain.abi import Struct
from chain.bindings import structs
from chain.bindings.structs import AdvanceRequest, Cancellation, Gate, Payee
from chain.errors import InvalidValueError, SignatureRefusedError
from chain.ids import ZERO32, Address, AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from chain.ports import Domain
from chain.signers import LocalSigner
from chain.typed_data import (
    HALF_ORDER,
    recover,
    struct_hash,
    type_hash,
    typed_digest,
    typed_message,
)

ROOT = Path(__file__).resolve().parents[3]
ONE = Hash32("0x" + "01" * 32)
DOMAIN = Domain(20_260_126, Address("0x5FbDB2315678afecb367f032d93F642f64180aa3"))
CANCELLATION = Cancellation(WaybillId(ONE), 3, 1_769_500_000, ONE)
REQUEST = AdvanceRequest(
    line=LineId(ONE),
    waybill=WaybillId(ONE),
    trip=TripId(ZERO32),
    principal=123_456,
    payees=(
        Payee(PartyId(2**63 + 5), WaybillId(ONE), ONE, 100_000),
        Payee(PartyId(7), WaybillId(ZERO32), ZERO32, 23_456),
    ),
    fingerprint=ONE,
    decision=ZERO32,
    expires=1_769_500_000,
    salt=ONE,
)
FORMS = [
    value
    for value in vars(structs).values()
    if isinstance(value, type) and issubclass(value, Struct) and value is not Struct
]


def b32(value):
    return bytes.fromhex(value[2:])


def test_digest_is_the_standards_own_formula():
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [
                keccak(
                    text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak(text="Yundan"),
                keccak(text="1"),
                DOMAIN.chain_id,
                DOMAIN.verifying_contract,
            ],
        )
    )
    body = keccak(
        keccak(text="Cancellation(bytes32 waybill,uint32 version,uint64 expires,bytes32 salt)")
        + encode(["bytes32", "uint32", "uint64", "bytes32"], [b32(ONE), 3, 1_769_500_000, b32(ONE)])
    )
    assert struct_hash(CANCELLATION) == "0x" + body.hex()
    assert typed_digest(CANCELLATION, DOMAIN) == keccak(b"\x19\x01" + domain + body)


def test_an_array_of_structs_is_hashed_member_by_member():
    payee = keccak(text="Payee(uint64 party,bytes32 waybill,bytes32 account,uint128 amount)")
    hashes = b"".join(
        keccak(
            payee
            + encode(
                ["uint64", "bytes32", "bytes32", "uint128"],
                [p.party, b32(p.waybill), b32(p.account), p.amount],
            )
        )
        for p in REQUEST.payees
    )
    body = keccak(
        keccak(text=AdvanceRequest.EIP712)
        + encode(
            ["bytes32"] * 3 + ["uint128"] + ["bytes32"] * 3 + ["uint64", "bytes32"],
            [
                *(b32(ONE), b32(ONE), b32(ZERO32)),
                123_456,
                *(keccak(hashes), b32(ONE), b32(ZERO32)),
                1_769_500_000,
                b32(ONE),
            ],
        )
    )
    assert struct_hash(REQUEST) == "0x" + body.hex()
    assert AdvanceRequest.EIP712.endswith(
        "Payee(uint64 party,bytes32 waybill,bytes32 account,uint128 amount)"
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_python_fields_stand_in_the_order_of_the_type_string(form):
    from chain.solidity_words import snake
    from chain.typed_data import struct_types

    types = struct_types(form.EIP712)
    assert next(iter(types)) == form.__name__
    assert [f.name for f in dataclasses.fields(form)] == [
        snake(member["name"]) for member in types[form.__name__]
    ]


def test_forge_reads_the_same_types_from_the_solidity_files():
    forge = sorted((ROOT / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge"))
    if not forge:
        pytest.skip("forge is not in node_modules/@foundry-rs")
    compared = 0
    for path in sorted((ROOT / "contracts" / "types").glob("*Forms.sol")):
        told = subprocess.run(
            [forge[0], "eip712", path.relative_to(ROOT), "--json"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        for entry in json.loads(told.stdout):
            name = entry["type"].split("(")[0]
            ours = getattr(structs, name)
            assert entry["type"] == ours.EIP712
            assert "0x" + type_hash(ours).hex() == entry["hash"]
            compared += 1
    assert compared > 20


def test_a_wallets_message_gives_the_same_digest():
    from eth_account.messages import encode_typed_data

    message = json.loads(json.dumps(typed_message(REQUEST, DOMAIN)))
    for payee in message["message"]["payees"]:  # a wallet reads its decimal strings
        payee["party"], payee["amount"] = int(payee["party"]), int(payee["amount"])
    for name in ("principal", "expires"):
        assert isinstance(message["message"][name], str)
        message["message"][name] = int(message["message"][name])
    signable = encode_typed_data(full_message=message)
    assert keccak(b"\x19\x01" + signable.header + signable.body) == typed_digest(REQUEST, DOMAIN)


def example(kind, types, number):
    """A value of a Solidity type, another for each number."""
    if kind.endswith("]"):
        return [example(kind[: kind.rindex("[")], types, number + at) for at in range(3)]
    if kind in types:
        return {
            member["name"]: example(member["type"], types, number + at)
            for at, member in enumerate(types[kind])
        }
    if kind == "bool":
        return number % 2 == 0
    if kind == "string":
        return "运单" * number
    if kind == "address":
        return LocalSigner(number.to_bytes(32, "big")).address
    if kind == "bytes":
        return bytes([number % 256]) * number
    if kind.startswith("bytes"):
        return "0x" + (bytes([number % 256]) * int(kind.removeprefix("bytes"))).hex()
    bits = int(kind.removeprefix("u").removeprefix("int"))
    return 2**bits - number if kind[0] == "u" else number - 2 ** (bits - 1)


def built(kind, types, values, name):
    """The struct of our bindings that holds these values."""

    def part(value, kind):
        if kind.endswith("]"):
            return tuple(part(one, kind[: kind.rindex("[")]) for one in value)
        return built(getattr(structs, kind), types, value, kind) if kind in types else value

    return kind(*(part(values[member["name"]], member["type"]) for member in types[name]))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_eth_account_hashes_every_form_to_the_same_digest(form):
    from eth_account.messages import encode_typed_data

    from chain.typed_data import DOMAIN_FIELDS, struct_types

    types = struct_types(form.EIP712)
    values = example(form.__name__, types, 3)
    signable = encode_typed_data(
        full_message={
            "types": {"EIP712Domain": DOMAIN_FIELDS, **types},
            "primaryType": form.__name__,
            "domain": {
                "name": DOMAIN.name,
                "version": DOMAIN.version,
                "chainId": DOMAIN.chain_id,
                "verifyingContract": DOMAIN.verifying_contract,
            },
            "message": values,
        }
    )
    ours = built(form, types, values, form.__name__)
    assert keccak(b"\x19\x01" + signable.header + signable.body) == typed_digest(ours, DOMAIN)


def test_the_signer_is_recovered_and_another_domain_gives_another():
    signer = LocalSigner.generate()
    signature = signer.sign_typed_data(REQUEST, DOMAIN)
    assert recover(REQUEST, DOMAIN, signature) == signer.address
    for other in (
        dataclasses.replace(DOMAIN, chain_id=1),
        dataclasses.replace(DOMAIN, verifying_contract=signer.address),
        dataclasses.replace(DOMAIN, version="2"),
    ):
        assert recover(REQUEST, other, signature) != signer.address
    changed = dataclasses.replace(REQUEST, principal=123_457)
    assert recover(changed, DOMAIN, signature) != signer.address


def test_eth_account_signs_the_same():
    key = b"\x31" * 32
    signature = LocalSigner(key).sign_digest(b"\x07" * 32)
    assert signature == bytes(Account.unsafe_sign_hash(b"\x07" * 32, key).signature)


def test_the_malleable_twin_of_a_signature_is_refused():
    order = 2 * HALF_ORDER + 1
    signature = LocalSigner.generate().sign_typed_data(CANCELLATION, DOMAIN)
    s = int.from_bytes(signature[32:64], "big")
    assert s <= HALF_ORDER
    twin = signature[:32] + (order - s).to_bytes(32, "big") + bytes([55 - signature[64]])
    with pytest.raises(SignatureRefusedError, match="upper half"):
        recover(CANCELLATION, DOMAIN, twin)


@pytest.mark.parametrize(
    "signature",
    [b"", b"\x01" * 64, b"\x01" * 66, b"\x01" * 64 + b"\x02", bytes(64) + b"\x1b"],
)
def test_a_signature_of_a_wrong_form_is_refused(signature):
    with pytest.raises(SignatureRefusedError) as caught:
        recover(CANCELLATION, DOMAIN, signature)
    assert caught.value.field == "signature"


GATE = Gate(advance=AdvanceId(ONE), open=True, reason=ZERO32, expires=1, salt=ZERO32)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (dataclasses.replace(GATE, advance=AdvanceId("0x12")), "advance"),
        (dataclasses.replace(GATE, open=1), "open"),
        (dataclasses.replace(GATE, expires=2**64), "expires"),
        (dataclasses.replace(GATE, expires=-1), "expires"),
        (dataclasses.replace(GATE, expires=1.0), "expires"),
        (dataclasses.replace(GATE, salt=None), "salt"),
        (dataclasses.replace(REQUEST, payees=(Payee(PartyId(1), ONE, ONE, 2**128),)), "amount"),
    ],
)
def test_a_value_that_is_not_exactly_of_its_type_is_never_signed(form, field):
    with pytest.raises(InvalidValueError) as caught:
        struct_hash(form)
    assert caught.value.field == field
    with pytest.raises(InvalidValueError):
        typed_message(form, DOMAIN)
