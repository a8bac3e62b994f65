"""EIP-712: every form has the same type string in Python as in Solidity, and random values hash alike.

The type strings are those that ``forge eip712`` reads off the Solidity structs. Both sides draw the same values from SHA-256; the folds stand in ``data/typed.json``, which
``unit/Typed.t.sol`` is held against with the contracts' own libraries. Here they are made anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chain.bindings import structs
from chain.typed_data import struct_hash, struct_types
from deploy import up

ROOT = Path(__file__).resolve().parents[2]
FORMS = sorted((ROOT / "contracts" / "types").glob("*Forms.sol"))
#: Answered by a view, signed by nobody.
UNSIGNED = {"Due"}
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
    return structs.AdvanceRequest(payees=payees, **values)


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


def _types_by_forge(path: Path) -> dict[str, tuple[str, str]]:
    """Name of each struct of a file -> its type string and type hash, as forge computes them."""
    told = subprocess.run(
        [up.foundry("forge"), "eip712", str(path.relative_to(ROOT))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    found = re.findall(r"^(\w+):\n - type: (.+)\n - hash: (0x\w+)$", told, re.MULTILINE)
    return {name: (kind, digest) for name, kind, digest in found}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_type_strings_are_those_that_forge_reads_off_the_structs(path: Path) -> None:
    declared = set(re.findall(r"^struct (\w+)", path.read_text("utf-8"), re.MULTILINE)) - UNSIGNED
    told = _types_by_forge(path)
    assert declared <= set(told), f"forge says nothing of {declared - set(told)}"
    for name in declared:
        kind, digest = told[name]
        assert kind == getattr(structs, name).EIP712
        assert "0x" + keccak(text=kind).hex() == digest


def test_the_hash_libraries_hold_the_type_strings_of_the_structs() -> None:
    code = "".join(
        path.read_text("utf-8") for path in (ROOT / "contracts" / "libraries").glob("*Hash.sol")
    )
    written = {
        "".join(re.findall(r'"([^"]*)"', text))
        for text in re.findall(r"keccak256\(\s*((?:\"[^\"]*\"\s*)+)\)", code)
    }
    signed = {
        getattr(structs, name).EIP712
        for path in FORMS
        for name in re.findall(r"^struct (\w+)", path.read_text("utf-8"), re.MULTILINE)
        if name not in UNSIGNED
    }
    assert len(signed) == len(DATA) + (0 if "AdvanceRequest" in DATA else 1)
    assert written == signed
