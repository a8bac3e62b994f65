"""What has been read of a pack: its files, and what the chain proves of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.verifier import pack as packs
from api.verifier.blocks import read_headers
from api.verifier.signatures import Keys
from api.verifier.story import Story, read_story
from api.verifier.waybills import Chain
from chain.abi import address
from chain.bindings import events
from chain.ids import TripId
from chain.ports import Domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.verifier.blocks import Header
    from api.verifier.money import Loan
    from api.verifier.pack import Pack
    from api.verifier.story import Happened
    from chain.ids import Address


@dataclass(slots=True)
class Reading:
    """What has been read of a pack so far; a step that failed leaves its part empty."""

    pack: Pack
    trip: TripId
    chain_id: int
    contracts: Mapping[str, Address]
    headers: Mapping[int, Header] = field(default_factory=dict)
    story: Story = field(default_factory=Story)
    keys: Keys = field(default_factory=Keys)
    chain: Chain = field(default_factory=lambda: Chain({}, None, None))
    loans: Mapping[str, Loan] = field(default_factory=dict)

    @classmethod
    def of(cls, pack: Pack) -> Reading:
        """The manifest's own claims; what follows checks them."""
        manifest = pack.manifest
        return cls(
            pack=pack,
            trip=TripId(manifest["trip_id"]),
            chain_id=int(manifest["chain_id"]),
            contracts={
                name: address(one["address"]) for name, one in manifest["contracts"].items()
            },
        )

    @property
    def domains(self) -> dict[str, Domain]:
        """The EIP-712 domain of each contract."""
        return {name: Domain(self.chain_id, where) for name, where in self.contracts.items()}

    def read_chain(self) -> None:
        """Headers, then the story that they prove, then the keys."""
        self.headers = read_headers(self.pack.json(packs.HEADERS))
        by_address = {where: name for name, where in self.contracts.items()}
        blocks = self.pack.json(packs.BLOCKS)
        self.story = read_story(blocks, self.headers, by_address, self.chain_id)
        self.keys = Keys.of(self.story)

    def facts(self) -> dict[str, Any]:
        """What a portfolio adds up: the trip, where it stands, and its loans in fen."""
        delivered = [one for one in self.story.of(events.DeliveryCompleted) if self._own(one)]
        return {
            "trip_id": self.trip,
            "chain_id": self.chain_id,
            "contracts": dict(self.contracts),
            "delivered": bool(delivered),
            "loans": [
                {
                    "advance": loan.id,
                    "state": loan.advance.state.value,
                    "drawn_fen": loan.advance.drawn,
                    "outstanding_fen": loan.advance.outstanding,
                }
                for loan in self.loans.values()
            ],
        }

    def _own(self, one: Happened) -> bool:
        return bool(getattr(one.event, "trip", None) == self.trip)
