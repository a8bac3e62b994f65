"""What comes in from terminals, phones, files and other servers: who may send it, and that it is kept."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tracking import evidence as ground
from tracking import jt808, osmand
from tracking.errors import (
    FixInvalidError,
    TerminalInvalidError,
    TerminalTakenError,
    TerminalUnknownError,
    TripStateError,
)
from tracking.ingest.arrivals import Answer, Arrival, unrecorded_answer
from tracking.ports import RawEntry
from tracking.trip import (
    RawFrame,
    Terminal,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from chain.clock import Clock
    from chain.ids import Hash32, PartyId, TripId
    from tracking.fix import Fix
    from tracking.ports import Records

TERMINAL_ID = re.compile(r"[0-9A-Za-z._-]{1,40}")
"""A phone number, an IMEI, or what a phone's application calls itself."""

_HASH32 = re.compile(r"0x[0-9a-f]{64}")

MOST_NAMING = 100
"""Of the trips that name a terminal, so many are looked at to see who runs its vehicle."""

_KEPT = Answer(jt808.ACK_OK)
_KEPT_BUT_BAD = Answer(jt808.ACK_BAD_MESSAGE, reason="bad_message")


def hash_code(code: str) -> str:
    """How an authentication code is kept. It is random and long, so a plain hash hides it."""
    return hashlib.sha256(code.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What became of forwarded positions.

    Attributes:
        new: how many were not known before.
        taken: how many were taken, known ones included.
        refused: index and error of the others.
    """

    new: int
    taken: int
    refused: tuple[dict[str, Any], ...]


class TakingService:
    """Terminals and what they send; every method works inside the transaction of the records it is given.

    Args:
        records: everything kept, in one transaction.
        clock: gives the present.
    """

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def _now(self) -> int:
        return int(self._clock.now().timestamp())

    # --- terminals -----------------------------------------------------------------------------

    def register_terminal(self, terminal: str, vehicle: Hash32, *, auth_code: str = "") -> Terminal:
        """Lets a terminal in and fixes it to a vehicle; again with the same facts changes nothing.

        Args:
            terminal: phone, IMEI or application id; leading zeros do not count.
            vehicle: keyed hash of the plate, as on chain.
            auth_code: for a terminal that is set up by hand and never registers (0x0100).

        Raises:
            TerminalInvalidError: not an id, or not a hash.
            TerminalTakenError: it is fixed to another vehicle.
        """
        name = self._terminal_id(terminal)
        if not _HASH32.fullmatch(vehicle):
            raise TerminalInvalidError(field="vehicle", given=vehicle)
        known = self._records.find_terminals([name]).get(name)
        if known is None:
            known = self._records.add_terminal(name, vehicle, now=self._now())
        elif known.vehicle != vehicle:
            raise TerminalTakenError(field="terminal", terminal=name)
        if auth_code and known.auth_hash != hash_code(auth_code):
            known = replace(known, auth_hash=hash_code(auth_code))
            self._records.save_terminals([known])
        return known

    def list_trips_naming(self, terminal: str) -> list[TripId]:
        """Trips whose plan names a terminal, the latest first, at most ``MOST_NAMING`` of them.

        Raises:
            TerminalInvalidError: not an id.
        """
        return self._records.list_trips_naming(self._terminal_id(terminal), MOST_NAMING)

    def issue_code(
        self, terminal: str, vehicle: Hash32, code: str, *, party: PartyId, may_own: bool
    ) -> Terminal:
        """Gives a party the code of a terminal that sends over HTTP; whoever has it first keeps it.

        Phone and plate are no secret: who knows them gets no code of another party's terminal.

        Args:
            terminal: phone, IMEI or application id.
            vehicle: keyed hash of the plate.
            code: takes the place of the code before.
            party: who asks.
            may_own: whether he may have it if nobody does: no trip names it, or he runs one that does.

        Raises:
            TerminalInvalidError: not an id, or not a hash.
            TerminalTakenError: it is fixed to another vehicle, another party has it, or he may not.
        """
        known = self.register_terminal(terminal, vehicle)
        if known.owner is None and not may_own:
            raise TerminalTakenError(
                "waybills of other parties name this terminal; its code goes to a party that issues or"
                " performs one of them",
                field="terminal",
                terminal=known.terminal,
            )
        if not self._records.claim_terminal(known.number, party):
            raise TerminalTakenError(
                "another party has this terminal and its code; ask that party to send for you, or name"
                " a terminal of your own",
                field="terminal",
                terminal=known.terminal,
            )
        owned = replace(known, auth_hash=hash_code(code), owner=party)
        self._records.save_terminals([owned])
        return owned

    def move_terminal(self, terminal: str, vehicle: Hash32) -> Terminal:
        """Fixes a known terminal to another vehicle and forgets its device, code and owner.

        Raises:
            TerminalUnknownError: it is not registered.
            TerminalInvalidError: not a hash.
            TripStateError: it is on a trip that is not over.
        """
        known = self._known(terminal)
        if not _HASH32.fullmatch(vehicle):
            raise TerminalInvalidError(field="vehicle", given=vehicle)
        on = self._records.find_trip_of_terminal(known.terminal, self._now())
        if on is not None:
            raise TripStateError("the terminal is on a trip", trip=on.trip, terminal=known.terminal)
        moved = replace(known, vehicle=vehicle, auth_hash="", device_hash="", owner=None)
        self._records.save_terminals([moved])
        self._records.disown_terminal(known.number)
        return moved

    def release_device(self, terminal: str) -> Terminal:
        """Lets another device register under the same phone: after a repair or an exchange.

        Raises:
            TerminalUnknownError: it is not registered.
        """
        freed = replace(self._known(terminal), device_hash="", auth_hash="")
        self._records.save_terminals([freed])
        return freed

    def read_ahead(self, trips: Collection[TripId], terminals: Collection[str]) -> None:
        """Reads what many events are about in few questions; a terminal's name may be none."""
        self._records.read_ahead(trips, {jt808.normalised(one.strip()) for one in terminals})

    def _terminal_id(self, terminal: str) -> str:
        name = jt808.normalised(terminal.strip())
        if not TERMINAL_ID.fullmatch(name) or name == "0":
            raise TerminalInvalidError(field="terminal", given=terminal[:64])
        return name

    def _known(self, terminal: str) -> Terminal:
        name = self._terminal_id(terminal)
        known = self._records.find_terminals([name]).get(name)
        if known is None:
            raise TerminalUnknownError(field="terminal", terminal=name)
        return known

    # --- what comes in over JT/T 808 -----------------------------------------------------------

    def take_arrivals(self, arrivals: Sequence[Arrival]) -> list[Answer]:
        """Registers, authenticates and keeps what has gathered at the gateway, in its order.

        One question for the terminals and one bulk statement a table, however many arrivals.
        """
        names = {
            arrival.terminal
            for arrival in arrivals
            if arrival.terminal_number is None
            or arrival.message_id in (jt808.REGISTER, jt808.AUTHENTICATE)
        }
        terminals = self._records.find_terminals(names) if names else {}
        changed: dict[int, Terminal] = {}
        numbers: dict[int, int] = {}
        answers: list[Answer] = []
        raw: list[RawEntry] = []
        fixes: list[tuple[int, Fix]] = []
        for arrival in arrivals:
            number = numbers.get(arrival.connection, arrival.terminal_number)
            known = terminals.get(arrival.terminal)
            if arrival.message_id == jt808.REGISTER:
                answer, known = _register(arrival, known)
                if known is not None and not answer.result:
                    terminals[arrival.terminal] = changed[known.number] = known
            elif arrival.message_id == jt808.AUTHENTICATE:
                answer = _authenticate(arrival, known)
                if answer.terminal_number is not None:
                    numbers[arrival.connection] = answer.terminal_number
            elif number is None:
                answer = Answer(jt808.ACK_FAILED, reason="not_authenticated")
            elif not arrival.payloads:
                answer = unrecorded_answer(arrival, number)
            else:
                answer = _KEPT if arrival.message is not None else _KEPT_BUT_BAD
                raw += _raw_entries(number, arrival)
                fixes += [(number, fix) for fix in arrival.fixes]
            answers.append(answer)
        self._records.save_terminals(changed.values())
        self._records.add_raw(raw)
        self._records.add_fixes(fixes)
        return answers

    # --- what comes in otherwise ---------------------------------------------------------------

    def take_fixes(self, terminal: str, fixes: Sequence[Fix]) -> int:
        """Keeps positions given as values (JSON over HTTP, a file); how many were new.

        The receipt is now, whatever the values say; their own terminal does not count.

        Raises:
            TerminalUnknownError: it is not registered.
            FixInvalidError: a fix has no usable time; its position in the list is named.
        """
        known, now = self._known(terminal), self._now()
        for at, fix in enumerate(fixes):
            if not 0 < fix.time < 1 << 33:
                raise FixInvalidError(
                    "unix seconds of the device's clock", field=f"fixes[{at}].time"
                )
        if not fixes:
            return 0
        frame = RawFrame(ground.FIXES, now, ground.pack_fixes(fixes))
        return self._take(
            known, frame, [one._replace(received=now, terminal=known.terminal) for one in fixes]
        )

    def take_osmand(self, terminal: str, request: str) -> int:
        """Keeps a phone's report (OsmAnd's query or JSON form) as it came; 1 if it was new, else 0.

        Args:
            terminal: who has shown the terminal's code; the report's own id must be the same.
            request: the query, or the body.

        Raises:
            TerminalUnknownError: it is not registered.
            FixInvalidError: the report is no evidence (``code`` among the facts says why), or another's.
        """
        now, known = self._now(), self._known(terminal)
        fix = osmand.read_request(request, received=now)
        if isinstance(fix, osmand.ReportRefusal):
            raise FixInvalidError(osmand.REFUSALS[fix.code], field=fix.field, reason=fix.code)
        if fix.terminal != known.terminal:
            raise FixInvalidError("a terminal speaks for itself alone", field="id")
        return self._take(known, RawFrame(ground.OSMAND, now, request.encode()), [fix])

    def take_forwarded(self, data: bytes) -> Forwarded:
        """Keeps what a Traccar server forwards; one bad or unknown position costs no other.

        The caller has checked that it is the operator's own server.
        """
        now = self._now()
        fixes: dict[str, list[Fix]] = {}
        own: dict[str, list[int]] = {}
        refused: list[dict[str, Any]] = []
        read = list(osmand.read_forwarded(data, received=now))
        names = {fix.terminal for fix in read if not isinstance(fix, osmand.ReportRefusal)}
        known = self._records.find_terminals(names)
        for at, fix in enumerate(read):
            if isinstance(fix, osmand.ReportRefusal):
                refused.append({"index": at, "error": fix.code})
            elif fix.terminal not in known:
                refused.append({"index": at, "error": TerminalUnknownError.code})
            else:
                fixes.setdefault(fix.terminal, []).append(fix)
                own.setdefault(fix.terminal, []).append(at)
        new = 0
        for name, some in fixes.items():
            # a truck's evidence does not tell where another one was
            part = data if len(own[name]) == len(read) else osmand.only_of(data, own[name])
            new += self._take(known[name], RawFrame(ground.TRACCAR, now, part), some)
        return Forwarded(new, sum(map(len, fixes.values())), tuple(refused))

    def _take(self, terminal: Terminal, frame: RawFrame, fixes: Sequence[Fix]) -> int:
        times = [fix.time for fix in fixes]
        span = (terminal.number, min(times), max(times))
        before = self._records.count_fixes(*span)
        self._records.add_raw([RawEntry(terminal.number, frame, span[1], span[2])])
        self._records.add_fixes([(terminal.number, fix) for fix in fixes])
        return self._records.count_fixes(*span) - before


def _device_hash(register: jt808.Register) -> str:
    words = (register.manufacturer, register.model, register.terminal_id)
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def _register(arrival: Arrival, known: Terminal | None) -> tuple[Answer, Terminal | None]:
    register = arrival.message
    if known is None:
        return Answer(jt808.TERMINAL_UNKNOWN, reason="terminal_unknown"), None
    if not isinstance(register, jt808.Register):
        return Answer(jt808.TERMINAL_UNKNOWN, reason="bad_message"), None
    device = _device_hash(register)
    if known.device_hash and known.device_hash != device:
        # the phone number alone must not be enough to get a code
        return Answer(jt808.TERMINAL_REGISTERED_BEFORE, reason="other_device"), None
    code = base64.b32encode(secrets.token_bytes(15)).decode("ascii")
    changed = replace(known, auth_hash=hash_code(code), device_hash=device)
    return Answer(jt808.REGISTERED, code=code), changed


def _authenticate(arrival: Arrival, known: Terminal | None) -> Answer:
    message = arrival.message
    if known is None or not known.auth_hash or not isinstance(message, jt808.Authentication):
        return Answer(jt808.ACK_FAILED, reason="terminal_unknown")
    if not hmac.compare_digest(hash_code(message.code), known.auth_hash):
        return Answer(jt808.ACK_FAILED, reason="wrong_code")
    return Answer(jt808.ACK_OK, terminal_number=known.number)


def _raw_entries(number: int, arrival: Arrival) -> list[RawEntry]:
    fixes, received, payloads = arrival.fixes, arrival.received, arrival.payloads
    if len(fixes) == 1:
        first = last = fixes[0].time
    elif fixes:
        times = [fix.time for fix in fixes]
        first, last = min(times), max(times)
    else:
        first = last = received
    piece = len(payloads) > 1
    return [
        RawEntry(number, RawFrame(ground.JT808, received, payload), first, last, piece)
        for payload in payloads
    ]
