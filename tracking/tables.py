"""Rows of the road: terminals, raw frames, fixes, trips, batches, verdicts, attestations.

Times are unix seconds (BIGINT): a device's clock is evidence, never a calendar. The fix table is keyed by
terminal and time, so that a trip is one range, and by a digest of the fix's content, so that what is sent twice
is stored once, whatever the order. Raw frames are a log; past days of it are packed by terminal.
"""

from typing import Any

import sqlalchemy as sa
from sqlmodel import Field

from chain.storage import Row, SealedBytes
from tracking import fix_days

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""SQLite counts up by itself only for INTEGER."""

_CLUSTERED: dict[str, Any] = {
    "sqlite_with_rowid": False,
    "postgresql_partition_by": "RANGE (time)",
}


class TerminalRow(Row, table=True):
    """A terminal; the authentication code itself is never stored.

    ``owner`` is the party that asked for its code first; NULL where only the flow has registered it.
    """

    __tablename__ = "terminal"

    number: int | None = Field(default=None, sa_type=_NUMBER, primary_key=True)
    terminal: str = Field(max_length=40, unique=True)
    vehicle: str = Field(max_length=66, index=True)
    auth_hash: str = Field(default="", max_length=64)
    device_hash: str = Field(default="", max_length=64)
    owner: str | None = Field(default=None, max_length=20)
    registered: int = Field(sa_type=sa.BigInteger)


class RawFrameRow(Row, table=True):
    """Bytes as received, ``packed`` with zlib where that makes them shorter; written one after the other.

    ``first_time`` and ``last_time`` are the span of the fixes inside by the device's clock (receipt where
    none is readable). A ``piece`` is part of a message whose other pieces stand beside it. A frame that
    was sent twice stands here twice and is read once: to look for it first would cost more than it takes.
    """

    __tablename__ = "raw_frame"
    __table_args__ = (sa.Index("ix_raw_frame_received", "terminal_number", "received"),)

    number: int | None = Field(default=None, sa_type=_NUMBER, primary_key=True)
    terminal_number: int = Field(sa_type=sa.BigInteger)
    source: str = Field(max_length=8)
    received: int = Field(sa_type=sa.BigInteger)
    first_time: int = Field(sa_type=sa.BigInteger)
    last_time: int = Field(sa_type=sa.BigInteger)
    piece: bool = Field(default=False)
    packed: bool = Field(default=False)
    data: bytes = Field(sa_type=sa.LargeBinary)


class RawDayRow(Row, table=True):
    """A past day of raw frames of one terminal, packed together: a few bytes a frame."""

    __tablename__ = "raw_day"

    day: int = Field(primary_key=True, sa_type=sa.Integer)
    terminal_number: int = Field(primary_key=True, sa_type=sa.BigInteger, index=True)
    frames: int = Field(sa_type=sa.Integer)
    first_time: int = Field(sa_type=sa.BigInteger)
    last_time: int = Field(sa_type=sa.BigInteger)
    data: bytes = Field(sa_type=sa.LargeBinary)


class FixRow(Row, table=True):
    """A fix; ``digest`` is over what the device said, not over when and how it reached us."""

    __tablename__ = "fix"
    __table_args__ = (_CLUSTERED,)

    terminal_number: int = Field(primary_key=True, sa_type=sa.BigInteger)
    time: int = Field(primary_key=True, sa_type=sa.BigInteger)
    digest: int = Field(primary_key=True, sa_type=sa.BigInteger)
    lat_e6: int = Field(sa_type=sa.BigInteger)
    lon_e6: int = Field(sa_type=sa.BigInteger)
    speed_dkmh: int | None = Field(default=None, sa_type=sa.Integer)
    heading: int | None = Field(default=None, sa_type=sa.SmallInteger)
    received: int | None = Field(default=None, sa_type=sa.BigInteger)
    altitude_m: int | None = Field(default=None, sa_type=sa.Integer)
    satellites: int | None = Field(default=None, sa_type=sa.SmallInteger)
    valid: bool = Field(default=True)
    odometer_dkm: int | None = Field(default=None, sa_type=sa.BigInteger)
    recorder_dkmh: int | None = Field(default=None, sa_type=sa.Integer)
    status: int | None = Field(default=None, sa_type=sa.BigInteger)
    alarm: int | None = Field(default=None, sa_type=sa.BigInteger)
    late: bool = Field(default=False)
    items_ok: bool = Field(default=True)


for _statement in fix_days.CREATE:
    sa.event.listen(
        FixRow.__table__,  # type: ignore[attr-defined]  # SQLModel gives a table its __table__
        "after_create",
        sa.DDL(_statement).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    )


class TrackedTripRow(Row, table=True):
    """A trip under watch; its state moves only when the chain says so."""

    __tablename__ = "tracked_trip"

    trip: str = Field(primary_key=True, max_length=66)
    terminal_number: int = Field(sa_type=sa.BigInteger, index=True)
    vehicle: str = Field(max_length=66)
    plan: str = Field(sa_type=sa.Text)
    plan_hash: str = Field(max_length=66)
    policy_hash: str = Field(max_length=66)
    version: int = Field(sa_type=sa.Integer)
    opens: int = Field(sa_type=sa.BigInteger)
    closes: int = Field(sa_type=sa.BigInteger)
    state: int = Field(sa_type=sa.SmallInteger, index=True)
    verdict: str = Field(default="", max_length=6)


class TrackBatchRow(Row, table=True):
    """A batch of fixes committed while driving; ``members`` holds its leaves and their digests, packed."""

    __tablename__ = "track_batch"

    trip: str = Field(primary_key=True, max_length=66)
    number: int = Field(primary_key=True, sa_type=sa.Integer)
    root: str = Field(max_length=66)
    fixes: int = Field(sa_type=sa.Integer)
    first_time: int = Field(sa_type=sa.BigInteger)
    last_time: int = Field(sa_type=sa.BigInteger)
    late_fixes: int = Field(sa_type=sa.Integer)
    built: int = Field(sa_type=sa.BigInteger)
    committed: int | None = Field(default=None, sa_type=sa.BigInteger)
    attestor: str = Field(default="", max_length=20)
    members: bytes = Field(sa_type=sa.LargeBinary)


class TrackVerdictRow(Row, table=True):
    """What our judge said last of a trip."""

    __tablename__ = "track_verdict"

    trip: str = Field(primary_key=True, max_length=66)
    verdict: str = Field(max_length=6)
    document: str = Field(sa_type=sa.Text)
    findings: str = Field(max_length=66)
    root: str = Field(max_length=66)
    policy_hash: str = Field(max_length=66)
    late_bps: int = Field(sa_type=sa.Integer)
    judged: int = Field(sa_type=sa.BigInteger)


class TrackEvidenceRow(Row, table=True):
    """The raw evidence a trip was judged on, frozen then: JSON, packed with zlib, sealed as personal data are."""

    __tablename__ = "track_evidence"

    trip: str = Field(primary_key=True, max_length=66)
    document: bytes = Field(sa_type=SealedBytes("track_evidence.document"))


class TrackSignatureRow(Row, table=True):
    """What a judged drive is found by among all others (``tracking.history``); 64-bit hashes, packed."""

    __tablename__ = "track_signature"

    trip: str = Field(primary_key=True, max_length=66)
    judged: int = Field(sa_type=sa.BigInteger, index=True)
    hashes: bytes = Field(sa_type=sa.LargeBinary)


class TrackAttestationRow(Row, table=True):
    """A signed verdict of an attestor, before and after the chain has it."""

    __tablename__ = "track_attestation"

    trip: str = Field(primary_key=True, max_length=66)
    attestor: str = Field(primary_key=True, max_length=20)
    verdict: str = Field(max_length=6)
    root: str = Field(max_length=66)
    findings: str = Field(max_length=66)
    queued: int = Field(sa_type=sa.BigInteger)
    attested: int | None = Field(default=None, sa_type=sa.BigInteger)


class TripProgressRow(Row, table=True):
    """Where a trip is, as its watcher saw it last."""

    __tablename__ = "trip_progress"

    trip: str = Field(primary_key=True, max_length=66)
    along_m: int = Field(sa_type=sa.Integer)
    length_m: int = Field(sa_type=sa.Integer)
    off_m: int = Field(sa_type=sa.Integer)
    on_route: bool
    at: int | None = Field(default=None, sa_type=sa.BigInteger)
    departed_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    arrived_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    eta: int | None = Field(default=None, sa_type=sa.BigInteger)


class TripAlertRow(Row, table=True):
    """An alert of a trip; what is told again after a restart is the same row."""

    __tablename__ = "trip_alert"
    __table_args__ = (sa.Index("ix_trip_alert_raised", "raised"),)

    trip: str = Field(primary_key=True, max_length=66)
    at: int = Field(primary_key=True, sa_type=sa.BigInteger)
    code: str = Field(primary_key=True, max_length=32)
    severity: str = Field(max_length=6)
    detail: str = Field(sa_type=sa.Text)
    raised: int = Field(sa_type=sa.BigInteger)
