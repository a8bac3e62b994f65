"""What the use cases of the road need: records in one database transaction; no implementation here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from chain.bindings.enums import TripState
    from chain.ids import Hash32, PartyId, TripId
    from tracking.alerts import Alert
    from tracking.fix import Fix
    from tracking.stream import Progress
    from tracking.trip import (
        AttestationRecord,
        Member,
        RawFrame,
        Terminal,
        TrackBatchRecord,
        Trip,
        VerdictRecord,
    )


class RawEntry(NamedTuple):
    """A raw frame on its way into the records, with the span of the fixes inside."""

    terminal_number: int
    frame: RawFrame
    first_time: int
    last_time: int
    piece: bool = False


class Waiting(NamedTuple):
    """A judged trip on which an attestor has not said the same yet, with what its leaf binds."""

    trip: TripId
    version: int
    vehicle: Hash32
    plan_hash: Hash32
    policy_hash: Hash32


class Raised(NamedTuple):
    """An alert of a trip, and when it was raised by our clock (unix seconds)."""

    trip: TripId
    alert: Alert
    raised: int


class TripOnRoad(NamedTuple):
    """What the watch asks of every trip at every look: all but its plan, which is long and seldom changes."""

    trip: TripId
    terminal: str
    version: int
    plan_hash: Hash32
    opens: int
    closes: int


class Records(Protocol):
    """Everything tracking keeps, seen from inside one database transaction.

    What is bulk here is one statement (or a few), never one a row.
    """

    def find_terminals(self, terminals: Collection[str]) -> dict[str, Terminal]:
        """Known terminals by normalised id."""
        ...

    def add_terminal(self, terminal: str, vehicle: Hash32, *, now: int) -> Terminal:
        """Writes a new terminal down; the id must not be known yet."""
        ...

    def save_terminals(self, terminals: Iterable[Terminal]) -> None:
        """Writes vehicle, authentication and device hashes of known terminals, never their owners."""
        ...

    def claim_terminal(self, number: int, owner: PartyId) -> bool:
        """Gives a terminal to a party; False if another has it, however close together they ask."""
        ...

    def disown_terminal(self, number: int) -> None:
        """Takes a terminal from its owner."""
        ...

    def add_raw(self, entries: Sequence[RawEntry]) -> None:
        """Keeps raw frames, one after the other."""
        ...

    def add_fixes(self, fixes: Sequence[tuple[int, Fix]]) -> None:
        """Keeps fixes (terminal number, fix); one known before changes nothing."""
        ...

    def count_fixes(self, terminal_number: int, since: int, until: int) -> int:
        """Fixes of a terminal by its own clock, both ends included."""
        ...

    def list_fixes(self, terminal: str, since: int, until: int) -> list[Fix]:
        """Fixes of a terminal by its own clock, both ends included, in canonical order."""
        ...

    def list_members(
        self, terminal: str, since: int, until: int
    ) -> list[tuple[Member, int | None]]:
        """Fixes on Earth of a terminal as leaves of a batch, each with its receipt, in leaf order."""
        ...

    def last_fixes(self, terminals: Collection[str], since: int) -> dict[str, Fix]:
        """The latest fix of each terminal not older than ``since`` by its own clock."""
        ...

    def list_newer(self, since: Mapping[str, int], until: int) -> dict[str, list[Fix]]:
        """Fixes of many terminals, each newer than its own instant by the device's clock, in order.

        Args:
            since: terminal -> unix seconds, exclusive.
            until: for all, inclusive.
        """
        ...

    def add_alerts(self, alerts: Sequence[Raised]) -> list[Raised]:
        """Keeps alerts; those that were not known before (by trip, instant and code)."""
        ...

    def list_alerts(
        self, trips: Collection[TripId] | None, *, since: int = 0, limit: int = 200
    ) -> list[Raised]:
        """Alerts raised at or after an instant, newest first; of all trips where none are named."""
        ...

    def save_progress(self, progress: Mapping[TripId, Progress]) -> None:
        """Writes down where trips are."""
        ...

    def list_progress(self, trips: Collection[TripId]) -> dict[TripId, Progress]:
        """Where those of the trips are that somebody watches."""
        ...

    def list_raw(self, terminal: str, since: int, until: int) -> list[RawFrame]:
        """Raw frames of a terminal that were received, or hold fixes, in the span; by receipt."""
        ...

    def pack_raw(self, day: int, limit: int) -> int:
        """Packs the raw frames of terminals received before a UTC day, a row a terminal and day.

        Args:
            day: unix seconds // 86,400; frames received on it or later stay as they are.
            limit: most terminal-days in this transaction.

        Returns:
            How many terminal-days were packed.
        """
        ...

    def prepare_days(self, days: range) -> int:
        """Makes room for the fixes of UTC days (unix seconds // 86,400), where days are kept apart; how many."""
        ...

    def forget(self, before: int, protected: Collection[TripId]) -> int:
        """Deletes fixes and raw frames older than an instant by the device's clock.

        What lies around the window of a trip that is not over, or is protected, stays.

        Returns:
            How many fixes and packed or single raw rows were deleted.
        """
        ...

    def add_trip(self, trip: Trip) -> None:
        """Writes a new trip down; its terminal must be known, the trip must not."""
        ...

    def read_ahead(self, trips: Collection[TripId], terminals: Collection[str] = ()) -> None:
        """Reads trips and terminals (by normalised id) that many events are about, to have them at hand."""
        ...

    def find_trip(self, trip: TripId) -> Trip | None:
        """A trip under watch."""
        ...

    def list_trips_by_id(self, trips: Collection[TripId]) -> list[Trip]:
        """Those of the trips that are under watch here, by opening."""
        ...

    def list_trips_between(self, since: int, until: int) -> list[Trip]:
        """Trips whose window meets a span of time, by opening."""
        ...

    def list_trips(self, states: Collection[TripState] | None = None) -> list[Trip]:
        """Trips under watch, by opening."""
        ...

    def list_on_road(
        self, states: Collection[TripState], since: int, until: int
    ) -> list[TripOnRoad]:
        """Trips in some states whose window meets a span of time, without their plans, by opening."""
        ...

    def find_trip_of_terminal(self, terminal: str, at: int) -> Trip | None:
        """The trip a terminal is on at an instant: open window, not over; the one opened last."""
        ...

    def list_trips_naming(self, terminal: str, limit: int) -> list[TripId]:
        """Trips that name a terminal, whatever their state, the one opened last first."""
        ...

    def find_next_opening(self, terminal: str, after: int) -> int | None:
        """When the next window of a terminal opens after an instant, if one does."""
        ...

    def move_trip(self, trip: Trip, state: TripState) -> None:
        """Writes the state of a known trip."""
        ...

    def save_trip(self, trip: Trip) -> None:
        """Writes state, verdict, version, plan and window of a known trip."""
        ...

    def add_batch(self, batch: TrackBatchRecord, members: Sequence[Member]) -> None:
        """Keeps a batch that was closed, with its leaves."""
        ...

    def save_batch(self, batch: TrackBatchRecord) -> None:
        """Writes attestor and commitment of a known batch."""
        ...

    def mark_committed(self, trip: TripId, index: int, root: Hash32, at: int) -> bool:
        """Notes that the chain holds a batch with this root; False if no such batch is known."""
        ...

    def list_batches(self, trip: TripId) -> list[TrackBatchRecord]:
        """Batches of a trip by index."""
        ...

    def list_batch_members(self, trip: TripId) -> dict[int, tuple[Member, ...]]:
        """The leaves of every batch of a trip, by index, in leaf order."""
        ...

    def save_verdict(self, verdict: VerdictRecord) -> None:
        """Keeps what the judge said; an earlier verdict on the same trip is replaced."""
        ...

    def find_verdict(self, trip: TripId) -> VerdictRecord | None:
        """What the judge said last."""
        ...

    def save_evidence(self, trip: TripId, document: Mapping[str, Any]) -> None:
        """Freezes the evidence a trip was judged on; an earlier one is replaced."""
        ...

    def find_evidence(self, trip: TripId) -> dict[str, Any] | None:
        """The evidence a trip was judged on."""
        ...

    def save_signature(self, trip: TripId, judged: int, hashes: bytes) -> None:
        """Keeps what a judged drive is found by; an earlier one is replaced."""
        ...

    def list_signatures(self, since: int) -> list[tuple[TripId, int, bytes]]:
        """(trip, judged, hashes) of drives judged at or after an instant, by that instant."""
        ...

    def save_attestation(self, attestation: AttestationRecord) -> None:
        """Keeps an attestation; the same attestor's earlier one on the trip is replaced."""
        ...

    def mark_attested(self, attestation: AttestationRecord) -> None:
        """Keeps what the chain says of an attestation; when it was queued stays as it is known."""
        ...

    def list_attestations(self, trip: TripId) -> list[AttestationRecord]:
        """Attestations on a trip, by attestor."""
        ...

    def list_waiting(self, attestor: PartyId) -> list[Waiting]:
        """Trips on the road that were judged and wait for an attestor's word, in one question."""
        ...

    def find_attestation(self, trip: TripId, attestor: PartyId) -> AttestationRecord | None:
        """What one attestor signed on a trip."""
        ...

    def list_verdicts(self, trips: Collection[TripId]) -> Mapping[TripId, VerdictRecord]:
        """Verdicts of many trips in one question."""
        ...

    def list_outcomes(self, trips: Collection[TripId]) -> Mapping[TripId, str]:
        """The bare outcomes of verdicts: their documents may be long."""
        ...
