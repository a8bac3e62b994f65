"""Where the compiler puts the records that packs prove: ``python -m tests.integration.api.layouts`` writes it anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import solcx

from chain.compiler import read_settings
from deploy.node import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FILE = ROOT / "api" / "verifier" / "layouts.json"
MAPPINGS = {
    "party": ("PartyRegistry", "_parties"),
    "waybill": ("WaybillRegistry", "_waybills"),
    "trip": ("DeliveryRegistry", "_trips"),
    "attestors": ("DeliveryRegistry", "_attestorList"),
    "outcome": ("DeliveryRegistry", "_outcomes"),
    "loan": ("CreditFacility", "_loans"),
    "advance": ("FreightAdvance", "_advances"),
    "advance of trip": ("FreightAdvance", "_advanceOf"),
}


def layouts(root: Path = ROOT) -> dict:
    """By kind of record: contract, slot of the mapping, words of a record, (word, byte, bytes) of each field."""
    sources = {
        path.relative_to(root).as_posix(): {"content": path.read_text("utf-8")}
        for path in sorted((root / "contracts").rglob("*.sol"))
    }
    settings = read_settings(root)
    settings["outputSelection"] = {path: {"*": ["storageLayout"]} for path in sources}
    order = {"language": "Solidity", "sources": sources, "settings": settings}
    out = solcx.compile_standard(order, solc_binary=root / "chain" / "solc-npm")["contracts"]
    made = {}
    for kind, (contract, name) in MAPPINGS.items():
        told = out[f"contracts/{contract}.sol"][contract]["storageLayout"]
        (held,) = [one for one in told["storage"] if one["label"] == name]
        value = told["types"][held["type"]]
        while "value" in value:
            value = told["types"][value["value"]]
        plain = {"value": [0, 0, int(value["numberOfBytes"])]}
        made[kind] = {
            "contract": contract,
            "slot": int(held["slot"]),
            "words": -(-int(value["numberOfBytes"]) // 32),
            "fields": _fields(value, told["types"]) if "members" in value else plain,
        }
    return made


def _fields(struct, types, base=0):
    found = {}
    for one in struct["members"]:
        kind, slot = types[one["type"]], base + int(one["slot"])
        if "members" in kind:
            found |= _fields(kind, types, slot)
        else:
            found[one["label"]] = [slot, one["offset"], int(kind["numberOfBytes"])]
    return found


if __name__ == "__main__":
    rows = [f"{json.dumps(kind)}: {json.dumps(one)}" for kind, one in layouts().items()]
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")
