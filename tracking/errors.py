"""Errors of watching trips; what the judge itself refuses is in ``tracking.refusals``."""

from __future__ import annotations

from chain.errors import YundanError


class TrackingError(YundanError):
    """The road's side refused."""

    code = "tracking_error"


class TerminalUnknownError(TrackingError):
    """No terminal of this id is registered here; register it first."""

    code = "terminal_unknown"


class TerminalTakenError(TrackingError):
    """The terminal is registered for another vehicle, or its code belongs to another party."""

    code = "terminal_taken"


class TerminalInvalidError(TrackingError):
    """A terminal id has 1 to 20 digits, a vehicle is 0x and 64 hex digits."""

    code = "terminal_invalid"


class TripUnknownError(TrackingError):
    """No such trip is watched here."""

    code = "trip_unknown"


class TripTakenError(TrackingError):
    """The trip is watched already, with another plan, vehicle, terminal or window."""

    code = "trip_taken"


class TripInvalidError(TrackingError):
    """The trip cannot be watched as given; the field is named."""

    code = "trip_invalid"


class TripStateError(TrackingError):
    """The trip is in a state that does not allow this."""

    code = "trip_state"


class FixInvalidError(TrackingError):
    """A position cannot be taken; the field is named."""

    code = "fix_invalid"


class EvidenceEmptyError(TrackingError):
    """There is no evidence of this trip yet."""

    code = "evidence_empty"


class AttestationRefusedError(TrackingError):
    """The attestation does not fit the trip it names."""

    code = "attestation_refused"
