"""Writes a portfolio: the packs of many trips in one file, one at a time, with the chain's headers once."""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785
import rlp

from api.audit.export import export_trip
from api.audit.purpose import Purpose
from api.audit.record import head_of, read_run
from api.verifier import pack as packs
from api.verifier.portfolio import CLAIMS, FORM, INDEX
from chain.errors import InvalidValueError, NotFoundError
from chain.ids import AdvanceId, PartyId, TripId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from api.bootstrap import Container

PAGE = 500
HEADERS_A_FILE = 4_096
BEIJING = dt.timezone(dt.timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which trips; every word that is given must fit.

    Attributes:
        loan: the trip of this advance.
        borrower: trips on which this party borrowed.
        lender: trips that this party financed.
        since, until: trips loaded on these Beijing days, the first and the last included.
    """

    loan: AdvanceId | None = None
    borrower: PartyId | None = None
    lender: PartyId | None = None
    since: dt.date | None = None
    until: dt.date | None = None

    def to_json(self) -> dict[str, str]:
        """The words that were given."""
        words = {
            "loan": self.loan, "borrower": self.borrower, "lender": self.lender,
            "since": self.since, "until": self.until,
        }  # fmt: skip
        return {name: str(value) for name, value in words.items() if value is not None}


def select_trips(container: Container, selection: Selection) -> Iterator[TripId]:
    """The trips of a selection by id, page by page; nothing is held between pages.

    Raises:
        InvalidValueError: nothing is selected by.
        NotFoundError: there is no such loan.
    """
    if not selection.to_json():
        raise InvalidValueError("name a trip, or a loan, borrower, lender or days", field="TRIP")
    if selection.loan is not None:
        with container.read() as services:
            advance = services.books.find_advance(selection.loan)
        if advance is None:
            raise NotFoundError("there is no such loan", field="loan", given=selection.loan)
        yield advance.trip
    elif selection.borrower is not None or selection.lender is not None:
        yield from _financed(container, selection)
    else:
        yield from _loaded(container, selection)


def _financed(container: Container, selection: Selection) -> Iterator[TripId]:
    after = ""
    while True:
        with container.read() as services:
            page = services.books.list_advances(
                borrower=selection.borrower, lender=selection.lender, after=after, limit=PAGE
            )
            trips = services.records.find_trips([one.trip for one in page])
        days = _days(selection)
        for one in page:
            held = trips.get(one.trip)
            if days is None or (
                held is not None and held.loaded_at is not None and _within(held.loaded_at, days)
            ):
                yield one.trip
        if len(page) < PAGE:
            return
        after = page[-1].advance


def _loaded(container: Container, selection: Selection) -> Iterator[TripId]:
    days = _days(selection)
    assert days is not None
    after: tuple[dt.datetime, TripId] | None = None
    while True:
        with container.read() as services:
            page = services.records.list_loaded(*days, after=after, limit=PAGE)
        yield from (one.id for one in page)
        if len(page) < PAGE:
            return
        last = page[-1]
        assert last.loaded_at is not None
        after = last.loaded_at, last.id


def _days(selection: Selection) -> tuple[dt.datetime, dt.datetime] | None:
    """From the first day's midnight in Beijing to that after the last; None if no day is named."""
    if selection.since is None and selection.until is None:
        return None
    first = selection.since or dt.date(2000, 1, 1)
    last = (selection.until or dt.date(2999, 12, 30)) + dt.timedelta(days=1)
    start, end = (dt.datetime.combine(day, dt.time(), BEIJING) for day in (first, last))
    return start.astimezone(dt.UTC), end.astimezone(dt.UTC)


def _within(at: dt.datetime, days: tuple[dt.datetime, dt.datetime]) -> bool:
    return days[0] <= at < days[1]


@dataclass(frozen=True, slots=True)
class Written:
    """A portfolio that was written."""

    path: Path
    packs: int
    size: int
    anchor: int
    anchor_hash: str


def export_portfolio(
    container: Container,
    selection: Selection,
    path: Path,
    *,
    purpose: Purpose = Purpose.LENDER,
    tell: Callable[[str, int], None] | None = None,
) -> Written:
    """Writes the packs of a selection into one file, whole or not at all.

    Args:
        container: this system.
        selection: which trips.
        path: where to; an existing file is replaced when the portfolio is whole.
        purpose: what the reader needs it for.
        tell: called with ``packs`` and how many are written, then ``headers`` and how many.

    Raises:
        NotFoundError: the selection has no trip.
        ChainUnavailableError: the node does not answer, or what it says proves nothing.
    """
    tell = tell or (lambda _word, _count: None)
    client, anchor = container.client, head_of(container.client)
    draft = path.with_name(path.name + ".draft")
    count, first, listed = 0, anchor.number, hashlib.sha256()
    claims: dict[str, Any] = {
        "form": FORM,
        "chain_id": client.chain_id,
        "contracts": {
            name: {"address": one.address, "code_hash": one.code_hash}
            for name, one in client.deployment.contracts.items()
        },
        "selection": selection.to_json(),
        "anchor": anchor.number,
        "anchor_hash": anchor.hash,
    }
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        one, index = Path(folder) / "pack.zip", Path(folder) / "index"
        body = Path(folder) / "body.zip"
        with zipfile.ZipFile(body, "w", zipfile.ZIP_STORED) as archive, index.open("wb") as lines:
            for trip in select_trips(container, selection):
                done = export_trip(container, trip, one, purpose=purpose, within=anchor)
                data = one.read_bytes()
                row: dict[str, Any] = {
                    "trip_id": trip,
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "bytes": len(data),
                }
                line = rfc8785.dumps(row) + b"\n"
                listed.update(line)
                lines.write(line)
                _store(archive, f"packs/{trip}.zip", data)
                first, count = min(first, done.first), count + 1
                tell("packs", count)
        if not count:
            raise NotFoundError("no trip fits the selection", field="selection")
        claims |= {"packs": count, "index_sha256": listed.hexdigest()}
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            _store(archive, CLAIMS, rfc8785.dumps(claims))
            _store_headers(archive, read_run(client, first, anchor.number), tell)
            with zipfile.ZipFile(body) as made:
                for name in made.namelist():
                    _store(archive, name, made.read(name))
            _store(archive, INDEX, index.read_bytes())
    draft.replace(path)
    return Written(path, count, path.stat().st_size, anchor.number, anchor.hash)


def _store_headers(
    archive: zipfile.ZipFile, headers: Iterator[bytes], tell: Callable[[str, int], None]
) -> None:
    some: list[bytes] = []
    files = written = 0
    for raw in headers:
        some.append(raw)
        written += 1
        if len(some) == HEADERS_A_FILE:
            _store(archive, f"headers/{files:08d}.rlp", rlp.encode(some))
            some, files = [], files + 1
            tell("headers", written)
    if some:
        _store(archive, f"headers/{files:08d}.rlp", rlp.encode(some))
        tell("headers", written)


def _store(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, packs.ZIP_TIME)
    info.create_system, info.external_attr = 3, packs.ZIP_MODE
    archive.writestr(info, data)
