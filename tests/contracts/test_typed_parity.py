"""EIP-712: random values of every form hash in Python as in Solidity.

Both sides draw the same values from SHA-256; the folds stand in ``data/typed.json``, which
``unit/Typed.t.sol`` is held against with the contracts' own libraries. Here they are made anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from chain.bindings import structs
from chain.typed_data import struct_hash, struct_types

DATA = json.loads((Path(__file__).parent / "data" / "typed.json").read_text("utf-8"))
DRAWS = 1_000
ORDER = ["line", "waybill", "trip", "principal", "fingerprint", "decision", "spare", "expires"]


def _draw(form: str, number: int, field: int, kind: str) -> object:
    # abi.encode(form, number, field), written out because a million of them are drawn
    numbers = b"".join(word.to_bytes(32, "big") for word in (96, number, field, len(form)))
    word = hashlib.sha256(numbers + form.encode().ljust(32, b"\0")).digest()
    if kind == "bool":
        return bool(word[-1] & 1)
    if kind == "bytes32":
        return "0x" + word.hex()
    if kind == "address":
        return to_checksum_address(word[12:])
    return int.from_bytes(word, "big") % (1 << int(kind.removeprefix("uint")))


def _python_name(field: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in field)


def _form(name: str, number: int) -> object:
    members = struct_types(getattr(structs, name).EIP712)[name]
    values = {
        _python_name(m["name"]): _draw(name, number, k, m["type"]) for k, m in enumerate(members)
    }
    return getattr(structs, name)(**values)


def _request(number: int) -> object:
    kinds = ["bytes32"] * 3 + ["uint128"] + ["bytes32"] * 3 + ["uint64", "bytes32"]
    values = {
        name: _draw("AdvanceRequest", number, k, kind)
        for k, (name, kind) in enumerate(zip([*ORDER, "salt"], kinds, strict=True))
    }
    spare = int(str(values.pop("spare")), 16) % 4
    payees = tuple(_form("Payee", number * 4 + j) for j in range(spare))
    return structs.AdvanceRequest(payees=payees, **values)  # type: ignore[arg-type]


def fold(name: str) -> str:
    """All draws of one form, folded."""
    made = b"\0" * 32
    for number in range(DRAWS):
        form = _request(number) if name == "AdvanceRequest" else _form(name, number)
        made = hashlib.sha256(made + bytes.fromhex(struct_hash(form)[2:])).digest()
    return "0x" + made.hex()


@pytest.mark.parametrize("name", sorted(DATA))
def test_random_values_hash_as_solidity_was_held_against(name: str) -> None:
    assert fold(name) == DATA[name]


def test_every_form_that_is_signed_is_drawn() -> None:
    signed = {
        name
        for name, kind in vars(structs).items()
        if isinstance(kind, type) and getattr(kind, "EIP712", "") and "salt" in kind.EIP712
    }
    assert signed <= set(DATA), f"forms not drawn: {signed - set(DATA)}"
