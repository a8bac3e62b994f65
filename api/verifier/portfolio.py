"""Many trips in one file: the chain's headers once, then a pack a trip, checked side by side.

A portfolio is a plain zip of stored entries: ``portfolio.json`` (what it claims), ``headers/*.rlp`` (an unbroken
run of headers up to the anchor, so that one trusted hash vouches for every pack), ``packs/<trip>.zip``, and
``index.jsonl`` (a line a pack: trip, SHA-256, bytes). Memory does not grow with the number of packs: a core takes
one pack at a time and gives back its report, of which only the exceptions are kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import re
import zipfile
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import rlp

from api.verifier.blocks import HeaderChain
from api.verifier.node import fetch_hashes
from api.verifier.pack import MOST_PACK_BYTES, PackRefusedError, read_json
from api.verifier.report import Report
from api.verifier.verify import Trust, verify_file
from chain.errors import YundanError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from api.verifier.report import Section

FORM = "yundan-portfolio-1"
CLAIMS, INDEX = "portfolio.json", "index.jsonl"
MOST_PACKS = 1_000_000
MOST_HEADERS_BYTES = 16 << 20
MOST_INDEX_LINE = 400
IN_HAND = 8
"""Packs a process has before it: enough to keep it busy, too few to fill memory."""
_NAME = re.compile(r"headers/\d{8}\.rlp|packs/0x[0-9a-f]{64}\.zip")
_ROLE = "The file is a portfolio 组合"


@dataclass(slots=True)
class Portfolio:
    """An open portfolio whose headers have been read."""

    path: Path
    claims: Mapping[str, Any]
    chain: HeaderChain
    listed: list[tuple[str, str]]
    """Name of each pack in the zip and its SHA-256, in the order of the index."""


@dataclass(slots=True)
class Summary:
    """What many reports come to.

    Attributes:
        counts: packs by exit code (0 green, 1 red, 3 not anchored).
        exceptions: a line a pack that is not green: its name and its first red check.
    """

    counts: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0, 3: 0})
    delivered: int = 0
    loans: int = 0
    drawn_fen: int = 0
    outstanding_fen: int = 0
    exceptions: list[dict[str, str]] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Takes one more report; amounts of a red pack do not count."""
        self.counts[report.exit_code] += 1
        if report.exit_code:
            first = next(iter(report.reds), None)
            self.exceptions.append(
                {
                    "pack": report.pack,
                    "code": first.code if first else "chain.trust",
                    "about": first.about if first else "",
                    "reason": first.reason if first else "nothing you trust vouches for its blocks",
                }
            )
        if report.exit_code == 1:
            return
        self.delivered += bool(report.facts.get("delivered"))
        for loan in report.facts.get("loans", ()):
            self.loans += 1
            self.drawn_fen += loan["drawn_fen"]
            self.outstanding_fen += loan["outstanding_fen"]

    @property
    def exit_code(self) -> int:
        """As ``Report.exit_code``, of all together."""
        return 1 if self.counts[1] else 3 if self.counts[3] else 0


def is_portfolio(path: Path) -> bool:
    """True if a file begins as a portfolio does.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as raw:
        return raw.read(30 + len(CLAIMS))[30:] == CLAIMS.encode()


def open_portfolio(path: Path, report: Report, trust: Trust) -> Portfolio | None:
    """Reads claims, headers and index; None, with a red check, if this is no portfolio.

    Raises:
        OSError: the file cannot be read.
        InvalidValueError, ChainUnavailableError: the auditor's node cannot be asked.
    """
    section = report.section("portfolio", _ROLE)
    try:
        with zipfile.ZipFile(path) as archive:
            portfolio = _read(path, archive)
    except YundanError as error:
        section.red("portfolio.structure", error.field or error.code, str(error))
        return None
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  a forged file must not stop the check
        section.red("portfolio.structure", type(error).__name__, f"cannot be read: {error}"[:300])
        return None
    count = len(portfolio.listed)
    section.green("portfolio.structure", "", f"{count} packs, as the index names them")
    report.anchored = _check_anchor(section, portfolio, trust)
    section.unknown(
        "portfolio.complete",
        json.dumps(portfolio.claims["selection"], ensure_ascii=False),
        "that no trip of this selection is missing is our word: compare with your own list of loans",
    )
    return portfolio


def _read(path: Path, archive: zipfile.ZipFile) -> Portfolio:
    names = _names(archive)
    claims = read_json(_entry(archive, CLAIMS, MOST_HEADERS_BYTES), CLAIMS)
    if claims["form"] != FORM:
        raise PackRefusedError(f"this is not of form {FORM}", field=CLAIMS)
    chain = HeaderChain()
    for name in (one for one in names if one.startswith("headers/")):
        for raw in rlp.decode(_entry(archive, name, MOST_HEADERS_BYTES)):
            chain.add(raw)
    listed = list(_index(archive, claims))
    given = {name for name in names if name.startswith("packs/")}
    if len(given) != len(listed) or given != {name for name, _ in listed}:
        raise PackRefusedError("the index lists other packs than there are", field=INDEX)
    if not len(chain) or chain.last_number != claims["anchor"]:
        raise PackRefusedError("the headers do not end at the anchor", field="headers")
    if chain.last != claims["anchor_hash"]:
        raise PackRefusedError("the last header is not the anchor's", field="headers")
    return Portfolio(path, claims, chain, listed)


def _names(archive: zipfile.ZipFile) -> list[str]:
    infos = archive.infolist()
    if len(infos) > 2 * MOST_PACKS:
        raise PackRefusedError(f"a portfolio has at most {MOST_PACKS} packs", field="size")
    names = [info.filename for info in infos]
    for info in infos:
        name = info.filename
        if name not in {CLAIMS, INDEX} and not _NAME.fullmatch(name):
            raise PackRefusedError(f"a portfolio has no file called {name!r}", field="file name")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise PackRefusedError("entries of a portfolio are stored, not deflated", field=name)
        if info.file_size > MOST_PACK_BYTES:
            raise PackRefusedError("an entry is larger than a pack may be", field=name)
    if len(set(names)) != len(names):
        raise PackRefusedError("two files have one name", field="file name")
    return names


def _entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    if archive.getinfo(name).file_size > most:
        raise PackRefusedError(f"at most {most} bytes", field=name)
    return archive.read(name)


def _index(archive: zipfile.ZipFile, claims: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines of the index; their hash is that of the claims."""
    seen = hashlib.sha256()
    with archive.open(INDEX) as lines:
        while line := lines.readline(MOST_INDEX_LINE):
            seen.update(line)
            one = read_json(line.rstrip(b"\n"), INDEX)
            yield f"packs/{one['trip_id']}.zip", one["sha256"]
    if seen.hexdigest() != claims["index_sha256"]:
        raise PackRefusedError("the index is not the one of the claims", field=INDEX)


def _check_anchor(section: Section, portfolio: Portfolio, trust: Trust) -> bool:
    """One trusted hash for all: the anchor's, or the node's at its height."""
    chain = portfolio.chain
    if trust.rpc is not None:
        told = fetch_hashes(trust.rpc, [chain.last_number]).get(chain.last_number)
        return section.require(
            told == chain.last,
            "chain.node",
            f"block {chain.last_number}",
            f"the node has this block; {len(chain)} headers rest on it",
            f"the node has {told or 'no block'} there, the portfolio {chain.last}",
        )
    if chain.last in {one.lower() for one in trust.hashes}:
        section.green("chain.trust", f"{len(chain)} headers", "all rest on what you trust")
        return True
    if trust.hashes:
        section.red("chain.trust", ", ".join(trust.hashes), "not the last block of the portfolio")
        return False
    reason = f"give --trust or --rpc; its last block is {chain.last_number} {chain.last}"
    section.unknown("chain.trust", f"{len(chain)} headers", reason)
    return False


# -- checking many ---------------------------------------------------------------------------------


def verify_portfolio(
    portfolio: Portfolio, trust: Trust, *, anchored: bool, workers: int | None = None
) -> Iterator[Report]:
    """The report of each pack, in the order of the index.

    Args:
        portfolio: an open one.
        trust: what the auditor believes; its node is not asked again.
        anchored: the headers rest on it.
        workers: processes; as many as there are cores unless given.
    """
    own = replace(trust, rpc=None, hashes=(), chain=portfolio.chain if anchored else None)
    yield from _spread(portfolio.listed, (portfolio.path, own, dict(portfolio.claims)), workers)


def verify_packs(
    paths: Sequence[Path], trust: Trust, *, workers: int | None = None
) -> Iterator[Report]:
    """The reports of packs, in their order; a file that cannot be opened is a red report, not an end."""
    jobs = ((str(path), "") for path in paths)
    yield from _spread(jobs, (None, trust, {}), workers)


_given: tuple[Path | None, Trust, Mapping[str, Any]]


def _take(*given: Any) -> None:
    """What a process keeps for all its packs."""
    global _given  # noqa: PLW0603  a pool's initializer has no other way
    _given = given


def _spread(
    jobs: Iterable[tuple[str, str]], given: tuple[Any, ...], workers: int | None
) -> Iterator[Report]:
    workers = workers or os.cpu_count() or 1
    # Fresh processes, not forks: a fork of a process whose threads hold a lock (typst's are such) waits for ever.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=fresh, initializer=_take, initargs=given) as pool:
        waiting: deque[Any] = deque()
        for job in jobs:
            waiting.append(pool.submit(_verify, *job))
            if len(waiting) >= workers * IN_HAND:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _verify(name: str, sha256: str) -> Report:
    path, trust, claims = _given
    report = Report(name.rsplit("/", 1)[-1])
    try:
        if path is None:
            with open(name, "rb") as raw:  # noqa: PTH123  a name as it was given
                return verify_file(raw, report.pack, trust)
        with zipfile.ZipFile(path) as archive:
            data = archive.read(name)
        if hashlib.sha256(data).hexdigest() != sha256:
            section = report.section("pack", _ROLE)
            section.red("portfolio.pack", name, "not the pack that the index names")
            return report
        found = verify_file(io.BytesIO(data), report.pack, trust)
        _check_same(found, name, claims)
    except (OSError, zipfile.BadZipFile) as error:
        section = report.section("pack", "The file is a pack 文件")
        said = getattr(error, "strerror", None) or error
        section.red("pack.structure.refused", report.pack, f"cannot be opened: {said}")
        return report
    return found


def _check_same(report: Report, name: str, claims: Mapping[str, Any]) -> None:
    """A pack of a portfolio is of the trip that its name says, and of the same contracts."""
    if not report.facts:
        return
    section = report.section("portfolio", _ROLE)
    section.require(
        f"packs/{report.facts['trip_id']}.zip" == name
        and report.facts["contracts"] == {k: v["address"] for k, v in claims["contracts"].items()}
        and report.facts["chain_id"] == claims["chain_id"],
        "portfolio.pack",
        name,
        "of this trip, this chain and these contracts",
        "of another trip, chain or contracts than the portfolio says",
    )
