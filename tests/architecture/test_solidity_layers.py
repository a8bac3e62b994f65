"""Contracts import downwards only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
# Each contract and its interface may lean on what stands further right, never on what is left of it.
STOREYS = (
    {"FreightSettlement"},
    {"FreightAdvance"},
    {"CreditFacility", "DeliveryRegistry"},
    {"WaybillRegistry", "SettlementToken"},
    {"PartyRegistry"},
)
FLOOR = {name: level for level, storey in enumerate(STOREYS) for name in storey}
IMPORT = re.compile(r'^import\s[^"]*"([^"]+)";', re.MULTILINE | re.DOTALL)
# Three more sentences of DESIGN: delivery knows no money, credit no waybill, the token nobody.
NEVER = {
    "DeliveryRegistry": {"SettlementToken", "CreditFacility"},
    "CreditFacility": {"WaybillRegistry", "DeliveryRegistry"},
    "SettlementToken": {"WaybillRegistry"},
}


def subject(path: str) -> str:
    name = Path(path).stem
    return name[1:] if re.match(r"I[A-Z]", name) else name


def sources() -> list[Path]:
    return sorted(CONTRACTS.rglob("*.sol"))


@pytest.mark.parametrize("source", sources(), ids=lambda p: p.relative_to(CONTRACTS).as_posix())
def test_imports_run_downwards(source):
    own = subject(source.name)
    wanted = [subject(path) for path in IMPORT.findall(source.read_text())]
    for name in set(wanted) & FLOOR.keys() - {own}:
        if own in FLOOR:
            assert FLOOR[name] > FLOOR[own], (
                f"{own} imports {name}, which stands above or beside it"
            )
            assert name not in NEVER.get(own, set()), f"{own} must know nothing of {name}"
        else:
            folder = source.parent.name
            assert folder not in {"types", "libraries"}, f"{folder} are the floor: {own} -> {name}"


def test_every_import_is_a_kept_library_or_ours():
    found = {
        (source.name, path)
        for source in sources()
        for path in IMPORT.findall(source.read_text())
        if not path.startswith((".", "contracts/", "@openzeppelin/contracts/"))
    }
    assert found == set()


def test_there_are_contracts_to_look_at():
    assert set(FLOOR) <= {source.stem for source in sources()}
