"""Who may do what once the contracts stand, and how the deployer gives all of it away.

What adds risk is the council's: two persons and a delay. What takes risk away is the guardian's, at
once; he may also cancel what the council has proposed. Nobody moves money or edits a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth_abi.abi import encode

from chain.abi import ContractCall
from chain.bindings.access_manager import AccessManager
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.ids import NOBODY, Address
from chain.outbox import CREATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chain.compiler import Artifact
    from chain.deployments import Deployment

ADMIN, RISK, SAFETY, GUARDIAN = range(4)
"""Roles in the AccessManager: its own; adds risk; takes it away; cancels what adds it."""

WAIT_S = 2 * 24 * 3600
"""Seconds between a proposal of the council and its enactment."""

_ZERO = Address("0x" + 40 * "0")
_GAS = 3_000_000

FUNCTIONS: Mapping[int, Sequence[ContractCall]] = {
    RISK: (
        PartyRegistry.set_registrar(_ZERO),
        DeliveryRegistry.add_attestor(NOBODY),
        DeliveryRegistry.set_arbiter(NOBODY),
        SettlementToken.set_custodian(NOBODY, NOBODY),
        SettlementToken.set_daily_cap(0),
        FreightAdvance.unpause(),
    ),
    SAFETY: (FreightAdvance.pause(), DeliveryRegistry.remove_attestor(NOBODY)),
}
"""Every function that the AccessManager guards, by the role that may call it (arguments are of no matter)."""


def council_creation(
    made: Artifact, deployment: Deployment, members: Iterable[Address]
) -> ContractCall:
    """The transaction that creates the council of these persons; anybody may send it.

    Args:
        made: the compiled ``Council``.
        deployment: where the AccessManager stands.
        members: two persons or more; they never change.
    """
    arguments = encode(
        ["address", "address[]"], [deployment.address_of("AccessManager"), list(members)]
    )
    return ContractCall("Council", CREATION, made.bytecode + arguments, gas=_GAS)


def hand_over(
    deployment: Deployment,
    *,
    deployer: Address,
    council: Address,
    guardian: Address,
    wait_s: int = WAIT_S,
) -> list[tuple[str, ContractCall]]:
    """The deployer's last calls, in order and with their keys: after them it is left with nothing.

    Args:
        deployment: where the contracts stand.
        deployer: who holds the AccessManager's own role so far.
        council: the contract of the two persons.
        guardian: who pauses, removes attestors and cancels proposals.
        wait_s: the council's delay.
    """
    calls = []
    for role, functions in FUNCTIONS.items():
        for name in sorted({one.contract for one in functions}):
            selectors = [one.data[:4] for one in functions if one.contract == name]
            calls.append(
                AccessManager.set_target_function_role(deployment.address_of(name), selectors, role)
            )
    calls += [
        AccessManager.set_role_guardian(RISK, GUARDIAN),
        AccessManager.grant_role(SAFETY, guardian, 0),
        AccessManager.grant_role(GUARDIAN, guardian, 0),
        AccessManager.grant_role(RISK, council, wait_s),
        AccessManager.grant_role(ADMIN, council, wait_s),
        AccessManager.renounce_role(ADMIN, deployer),
    ]
    return [(f"hand over {place}", call) for place, call in enumerate(calls, 1)]
