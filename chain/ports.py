"""What services need of the chain, and what the chain needs of keys; no implementation here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

    from chain.abi import ContractCall, Event, Occurred, Read, Struct
    from chain.delivery import HeldTrip
    from chain.ids import Address, Hash32, PartyId, TripId, WaybillId
    from chain.party import Party
    from chain.waybill import HeldWaybill

T = TypeVar("T")
E = TypeVar("E", bound="Event")


class TransactionState(StrEnum):
    """Where an outgoing transaction stands; the moves allowed are ``TRANSACTION_MOVES``."""

    QUEUED = "queued"
    """Written down; it has no nonce yet."""
    SENT = "sent"
    """Signed with its nonce and stored; sent, and sent again until it is mined."""
    MINED = "mined"
    """In a block, succeeded, not yet as deep as finality asks."""
    FINAL = "final"
    """In a block as deep as finality asks; still re-checked by block hash."""
    REVERTED = "reverted"
    """Refused by the contract: at simulation (no nonce was spent) or in a block."""
    REPLACED = "replaced"
    """Its nonce was used by another transaction of the same key; it is queued again when that is final."""
    DROPPED = "dropped"
    """Given up, provably without effect; its key may not be used again."""


TRANSACTION_MOVES: Mapping[TransactionState, frozenset[TransactionState]] = MappingProxyType(
    {
        # sent: signed and stored; reverted: refused at simulation; dropped: taken back in time
        TransactionState.QUEUED: frozenset(
            {TransactionState.SENT, TransactionState.REVERTED, TransactionState.DROPPED}
        ),
        TransactionState.SENT: frozenset(
            {
                TransactionState.MINED,
                TransactionState.REVERTED,
                TransactionState.REPLACED,
                TransactionState.DROPPED,
            }
        ),
        # back to sent: its block is no longer on the chain
        TransactionState.MINED: frozenset({TransactionState.FINAL, TransactionState.SENT}),
        TransactionState.FINAL: frozenset({TransactionState.SENT}),
        TransactionState.REVERTED: frozenset({TransactionState.SENT}),
        TransactionState.DROPPED: frozenset({TransactionState.SENT}),
        TransactionState.REPLACED: frozenset({TransactionState.QUEUED, TransactionState.SENT}),
    }
)
"""The published table: every move an outgoing transaction may make, and no other."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What has become of a queued call.

    Attributes:
        error: the contract's named error, e.g. ``WaybillRegistryFreightExceedsParent``; "" if none.
        error_facts: its arguments by name, JSON values.
        message: one sentence for people about a refusal.
        block_time: time of the block it is in.
        queued_at: the machine's time at which it was written down.
    """

    key: str
    contract: str
    function: str
    state: TransactionState
    about: str = ""
    transaction_hash: Hash32 | None = None
    block_number: int | None = None
    block_hash: Hash32 | None = None
    block_time: dt.datetime | None = None
    queued_at: dt.datetime | None = None
    gas_used: int | None = None
    error: str = ""
    error_facts: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""


class Outbox(Protocol):
    """Where a use case writes what it wants done on chain, in its own database transaction."""

    def queue(self, call: ContractCall, *, key: str, about: str = "") -> None:
        """Writes an intent down; it is sent after the surrounding transaction has committed.

        The same key with the same call changes nothing, however often.

        Args:
            call: what to send.
            key: the business key, unique for ever, e.g. ``issue:0xabc…``.
            about: the id of what it concerns (a trip, a waybill), to find it again.

        Raises:
            KeyReusedError: the key was used for another call.
        """
        ...

    def find(self, key: str) -> Outgoing | None:
        """What has become of an intent."""
        ...

    def list_about(self, about: str) -> list[Outgoing]:
        """Every intent about an object, oldest first."""
        ...

    def list_about_each(self, about: Collection[str]) -> dict[str, list[Outgoing]]:
        """Every intent about each of some objects, oldest first, in one question."""
        ...


class Signer(Protocol):
    """A key that signs, wherever it lives. The key itself never leaves it."""

    @property
    def address(self) -> Address:
        """The account of the key."""
        ...

    def sign_digest(self, digest: bytes) -> bytes:
        """Signs 32 bytes: r, s (low), v (27 or 28) in 65 bytes."""
        ...

    def sign_typed_data(self, struct: Struct, domain: Domain) -> bytes:
        """Signs a struct under EIP-712: the only thing ever signed for a party. 65 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Domain:
    """The EIP-712 domain of one contract: a signature for it is worth nothing elsewhere."""

    chain_id: int
    verifying_contract: Address
    name: str = "Yundan"
    version: str = "1"


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block, by number and hash, with its time."""

    number: int
    hash: Hash32
    parent: Hash32
    at: dt.datetime


class ChainReader(Protocol):
    """Asks contracts; every answer is of one block."""

    @property
    def chain_id(self) -> int:
        """The chain's id, checked when the client was made."""
        ...

    def address_of(self, contract: str) -> Address:
        """Where the deployment has put a contract.

        Raises:
            NotFoundError: the deployment knows no contract of that name.
        """
        ...

    def domain(self, contract: str) -> Domain:
        """The EIP-712 domain of a deployed contract."""
        ...

    def fetch_head(self) -> BlockRef:
        """The latest block."""
        ...

    def fetch(self, read: Read[T], *, block: int | Hash32 | None = None) -> T:
        """The answer at a block (by hash or number; the latest if None).

        Raises:
            ContractRefusedError: the contract reverted; it names the error and its arguments.
            ChainUnavailableError: no answer from the node.
        """
        ...

    def fetch_events(
        self,
        kind: type[E],
        *,
        about: Hash32 | None = None,
        since: dt.datetime | None = None,
        last: int | None = None,
    ) -> list[Occurred[E]]:
        """Every event of a kind, in the order of the chain; an empty answer proves nothing.

        Args:
            kind: the event.
            about: its first indexed argument; None takes any.
            since: earlier ones are left out, and not asked for; None asks from the deployment on.
            last: the last block asked; the latest if None.
        """
        ...

    def fetch_many(self, reads: Sequence[Read[T]], *, block: int | Hash32 | None = None) -> list[T]:
        """The answers to several questions at one block, in one round trip."""
        ...


class Records(Protocol):
    """Parties, waybills and trips as rows of one database transaction."""

    def find_party(self, party: PartyId) -> Party | None:
        """A party by its id."""
        ...

    def find_party_by_key(self, key: Address) -> Party | None:
        """The party that a key speaks for."""
        ...

    def get_party(self, party: PartyId) -> Party:
        """A party that must exist."""
        ...

    def list_parties(self, parties: Sequence[PartyId]) -> dict[PartyId, Party]:
        """Several parties in one query."""
        ...

    def add_party(self, party: Party) -> None:
        """A new party."""
        ...

    def save_party(self, party: Party) -> None:
        """A party as it now is."""
        ...

    def find_waybill(self, waybill: WaybillId) -> HeldWaybill | None:
        """A waybill by its id."""
        ...

    def get_waybill(self, waybill: WaybillId) -> HeldWaybill:
        """A waybill that must exist."""
        ...

    def list_ancestors(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybill itself first, then upwards to its root; empty if it is unknown."""
        ...

    def list_children(self, waybill: WaybillId) -> list[HeldWaybill]:
        """The waybills right below one, oldest first."""
        ...

    def list_chain(self, root: WaybillId) -> list[HeldWaybill]:
        """Every waybill below a root and the root itself, by tier, oldest first."""
        ...

    def find_leaf(self, trip: TripId) -> HeldWaybill | None:
        """The latest waybill that names a trip."""
        ...

    def add_waybill(self, waybill: HeldWaybill) -> None:
        """A new waybill."""
        ...

    def save_waybill(self, waybill: HeldWaybill) -> None:
        """A waybill as it now is."""
        ...

    def find_trip(self, trip: TripId) -> HeldTrip | None:
        """A trip by its id."""
        ...

    def add_trip(self, trip: HeldTrip) -> None:
        """A new trip."""
        ...

    def save_trip(self, trip: HeldTrip) -> None:
        """A trip as it now is."""
        ...
