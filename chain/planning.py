"""What the contracts will say to the queue, asked before any nonce is spent.

One ``eth_simulateV1`` runs over what is sent and what is queued, in order; a node without it is asked
for one estimate at a time, each on the state its predecessors have left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from chain.abi import address
from chain.errors import ChainUnavailableError
from chain.merging import Parcel, split
from chain.outbox import CREATION
from chain.wire import METHOD_NOT_FOUND, NodeError, is_revert, raw_bytes, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chain.client import ChainClient
    from chain.ids import Address
    from chain.intents import Intent

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """A parcel and what is to be done with it.

    Attributes:
        verdict: its gas limit, or the revert data with which it would be refused.
    """

    parcel: Parcel
    verdict: int | bytes


class Planner:
    """Asks one node on behalf of one account.

    Args:
        gas_ceiling: gas limit of one transaction.
    """

    def __init__(self, client: ChainClient, account: Address, gas_ceiling: int) -> None:
        self._client = client
        self._account = account
        self._gas_ceiling = gas_ceiling
        self.can_simulate = True

    def plan(self, sent: Sequence[Intent], queued: Sequence[Parcel]) -> list[Planned]:
        """What is to be done with queued parcels, in order; what is left out waits for another round."""
        if all(one.call is None and one.first.gas is not None for one in queued):
            return [Planned(one, one.first.gas or 0) for one in queued]
        if any(one.function == CREATION for one in sent):
            return []  # what is being created must stand before it can be called
        made = next((at for at, one in enumerate(queued) if one.first.function == CREATION), None)
        if made is not None:
            queued = queued[: max(made, 1)]  # creations go by themselves, with their own gas
            if made == 0:
                return self._estimate(sent, queued)
        if self.can_simulate:
            try:
                return self._simulate(sent, queued)
            except NodeError as error:
                self.can_simulate = error.rpc_code != METHOD_NOT_FOUND
                log.warning("the node cannot simulate a queue", error=error.text)
        return self._estimate(sent, queued)

    def target(self, intent: Intent) -> Address | None:
        """Where a call goes; None for a creation."""
        if intent.function == CREATION:
            return None
        return address(intent.to) if intent.to else self._client.address_of(intent.contract)

    def call_object(self, intent: Intent) -> dict[str, str]:
        """A call as JSON-RPC has it."""
        target = self.target(intent)
        call = {
            "from": self._account,
            "gas": hex(intent.gas or self._gas_ceiling),
            "input": "0x" + intent.data.hex(),
        }
        return call if target is None else {**call, "to": target}

    def _object(self, parcel: Parcel) -> dict[str, str]:
        if parcel.call is None:
            return self.call_object(parcel.first)
        return {
            "from": self._account,
            "gas": hex(self._gas_ceiling),
            "input": "0x" + parcel.call.data.hex(),
            "to": self._client.address_of(parcel.call.contract),
        }

    # --- a queue at once ---

    def _simulate(self, sent: Sequence[Intent], queued: Sequence[Parcel]) -> list[Planned]:
        plan = self._run(sent, queued)
        if not any(isinstance(one.verdict, bytes) for one in plan):
            return plan
        for at, one in enumerate(plan):
            if isinstance(one.verdict, bytes) and one.parcel.call is not None:
                return self._pick(sent, queued[:at], split(one.parcel))
        # A refusal ends a call for good, so the node must say it twice in the same words.
        return plan if _refusals(plan) == _refusals(self._run(sent, queued)) else []

    def _pick(
        self, sent: Sequence[Intent], before: Sequence[Parcel], members: Sequence[Parcel]
    ) -> list[Planned]:
        """A merged call would fail: its members are asked one by one, after what goes before them.

        Those that are refused are told and leave the queue, and the others go together next time. If
        none is, being together is what fails, and they go singly.
        """
        singly = [*before, *members]
        plan = self._run(sent, singly)
        if _refusals(plan) != _refusals(self._run(sent, singly)):
            return []
        refused = [one for one in plan[len(before) :] if isinstance(one.verdict, bytes)]
        return [*plan[: len(before)], *refused] if refused else plan

    def _run(self, sent: Sequence[Intent], queued: Sequence[Parcel]) -> list[Planned]:
        """The whole queue in order on top of the latest block, by ``eth_simulateV1``."""
        calls = [self.call_object(one) for one in sent] + [self._object(one) for one in queued]
        room = sum(whole(call["gas"]) for call in calls)
        # The next block's time: a node would simulate at the last one's, which may be hours ago.
        pending = self._client.request("eth_getBlockByNumber", ["pending", False])
        overrides = {"gasLimit": hex(room)}
        if isinstance(pending, dict) and pending.get("timestamp"):
            overrides["time"] = hex(whole(pending["timestamp"]))
        block = {"blockOverrides": overrides, "calls": calls}
        blocks = self._client.request(
            "eth_simulateV1", [{"blockStateCalls": [block], "validation": False}, "latest"]
        )
        try:
            results = blocks[0]["calls"]
        except (TypeError, KeyError, IndexError) as error:
            raise ChainUnavailableError("the node's simulation cannot be read") from error
        if not isinstance(results, list) or len(results) != len(calls):
            raise ChainUnavailableError("the node's simulation is not complete")
        plan = []
        for parcel, result in zip(queued, results[len(sent) :], strict=True):
            gas = parcel.first.gas if parcel.call is None else None
            if gas is not None:
                plan.append(Planned(parcel, gas))
            elif whole(result["status"]) == 1:
                plan.append(Planned(parcel, self._gas_ceiling))
            else:
                plan.append(Planned(parcel, raw_bytes(result.get("returnData", "0x"))))
        return plan

    # --- one at a time ---

    def _estimate(self, sent: Sequence[Intent], queued: Sequence[Parcel]) -> list[Planned]:
        """One by one, each on the state its predecessors have left: slower, on any node."""
        first = queued[0]
        if first.call is None and first.first.gas is not None:
            return [Planned(first, first.first.gas)]
        if sent:
            return []  # it may depend on what is not in a block yet
        for parcel in (first, split(first)[0]):  # a merged call that fails is tried by its first
            try:
                self._client.request("eth_estimateGas", [self._object(parcel), "pending"])
            except NodeError as error:
                if not is_revert(error):
                    raise
                refused = Planned(parcel, error.data)
            else:
                return [Planned(parcel, self._gas_ceiling)]
        return [refused]


def _refusals(plan: Sequence[Planned]) -> list[tuple[int, bytes]]:
    return [(one.parcel.first.id, one.verdict) for one in plan if isinstance(one.verdict, bytes)]
