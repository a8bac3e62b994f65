"""Verifies a pack from one trusted hash down to the last fen: read this first, it is the argument in order.

1. the file is a pack, untouched since its manifest was written;
2. every block rests on a hash that the auditor trusts;
3. every transaction, receipt and storage word is proven under such a block;
4. every form in them was signed by the right party, with the key it had then;
5. the waybills close; the papers are those that were signed;
6. the raw frames give the verdict that the attestors signed, and the delivery rests on it;
7. the loan's decision, payees, interest and sharing follow from the forms and events, to the fen;
8. the bank and the books say the same; what the record holds now is what the events add up to.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eth_utils.crypto import keccak

from api.verifier import pack as packs
from api.verifier.bank import check_payouts
from api.verifier.blocks import trusted_numbers
from api.verifier.gate import Papers, check_delivery
from api.verifier.money import check_advances, check_decisions, check_ledger
from api.verifier.node import fetch_hashes
from api.verifier.page import render_page, sheet_of
from api.verifier.reading import Reading
from api.verifier.report import Report
from api.verifier.road import Road, check_road
from api.verifier.signatures import SignatureChecks, Who, check_keys, check_seal
from api.verifier.state import State, check_children, expected_records
from api.verifier.waybills import check_waybills
from chain.abi import address, hash32
from chain.bindings import events
from chain.document import hash_of_disclosed
from chain.errors import YundanError
from chain.ids import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from api.verifier.blocks import HeaderChain
    from api.verifier.report import Section


@dataclass(frozen=True, slots=True)
class Paper:
    """What can make a pack's PDF again.

    Attributes:
        maker: its name and version; another version may set the same text in other bytes.
        render: the PDF of what was read.
    """

    maker: str
    render: Callable[[Reading], bytes]


@dataclass(frozen=True, slots=True)
class Trust:
    """What the auditor believes without proof, and the only things he needs to.

    Attributes:
        hashes: block hashes, e.g. from a notice or another node.
        rpc: a node of his choosing; the pack's blocks are compared with its. The only use of a network.
        deployment: the contracts' addresses as he knows them (``<chain_id>.json``).
        chain: headers that were already found to rest on one of the hashes.
        paper: what makes the PDF again; without it the PDF is not checkable, the page says the same.
    """

    hashes: tuple[str, ...] = ()
    rpc: str | None = None
    deployment: Path | None = None
    chain: HeaderChain | None = None
    paper: Paper | None = None


def verify_pack(
    path: Path,
    *,
    rpc: str | None = None,
    trust: Sequence[str] = (),
    deployment: Path | None = None,
    paper: Paper | None = None,
) -> Report:
    """Verifies the pack of one trip; the arguments are those of ``Trust``.

    Raises:
        OSError: the file cannot be read.
        InvalidValueError, ChainUnavailableError: the node's address is none, or it does not answer.
    """
    with path.open("rb") as raw:
        return verify_file(raw, path.name, Trust(tuple(trust), rpc, deployment, paper=paper))


def verify_file(raw: BinaryIO, name: str, trust: Trust) -> Report:
    """Verifies a pack from an open file; a forged one gives a report with red checks, never an exception.

    Raises:
        OSError, InvalidValueError, ChainUnavailableError: as ``verify_pack``.
    """
    report = Report(name)
    section = report.section("pack", "The file is a pack 文件")
    reading: Reading | None = None
    with _guard(section, "pack.structure"):
        pack = packs.read_pack(raw)
        reading = Reading.of(pack)
        section.green("pack.structure", "", f"{len(pack.files)} files, as the manifest names them")
    if reading is None:
        return report
    _check_chain(report, reading, trust)
    check_reading(report, reading)
    _check_rest(report, reading, section, trust.paper)
    report.facts = reading.facts()
    return report


def check_reading(report: Report, reading: Reading) -> None:
    """Steps 4 to 7 on what the chain proves."""
    pack, story, trip = reading.pack, reading.story, reading.trip
    section = report.section("parties", "Who could sign when 签名与密钥")
    with _guard(section, "parties"):
        check_keys(section, reading.keys)
        _check_names(section, reading)
        who = Who(story)
        SignatureChecks(section, who, reading.keys, reading.domains).run(story)
    section = report.section("waybills", "The chain of waybills closes 运单链")
    with _guard(section, "waybills"):
        reading.chain = check_waybills(section, story, pack.json(packs.WAYBILLS), trip)
    section = report.section("road", "The road gives the verdict 轨迹与结论")
    with _guard(section, "road"):
        rules = pack.files.get(packs.POLICY)
        text = None if rules is None else rules.decode()
        road = Road(pack.json(packs.TRACK), text, pack.json(packs.VERDICT))
        check_road(section, story, reading.chain, road, trip)
    section = report.section("delivery", "The delivery rests on it 交付")
    with _guard(section, "delivery"):
        papers = Papers(pack.json(packs.RECEIPTS), pack.photos)
        check_delivery(section, story, reading.chain, trip, papers)
    section = report.section("advance", "The loan, to the fen 垫付与还款")
    with _guard(section, "advance"):
        reading.loans = check_advances(section, story, reading.chain, trip)
        check_decisions(
            section, reading.loans, pack.json(packs.DECISIONS), pack.json(packs.FORESTS)
        )
    section = report.section("bank", "The bank 银行付款")
    with _guard(section, "bank"):
        check_payouts(section, story, reading.loans, pack.json(packs.PAYOUTS))
    section = report.section("ledger", "The books 账簿")
    with _guard(section, "ledger"):
        if reading.loans:
            check_ledger(section, story, reading.loans, pack.json(packs.LEDGER))


def _check_chain(report: Report, reading: Reading, trust: Trust) -> None:
    section = report.section("chain", "Blocks, transactions, events 链上证明")
    with _guard(section, "chain"):
        reading.read_chain()
        anchor, claimed = (reading.pack.manifest[name] for name in ("anchor", "anchor_hash"))
        section.require(
            anchor in reading.headers and reading.headers[anchor].hash == claimed,
            "chain.anchor",
            f"block {anchor}",
            f"{claimed} is the last block of the pack",
            "the last block is not the one that the manifest names",
        )
        count = len(reading.story.transactions)
        section.green("chain.inclusion", f"{count} transactions", "proven in their blocks")
    needed = {number for _, number in reading.story.transactions}
    needed.add(reading.pack.manifest.get("anchor", -1))
    known = [Hash32(one.lower()) for one in trust.hashes]
    if trust.chain is not None:
        known += [one.hash for one in reading.headers.values() if trust.chain.has(one)]
    trusted = trusted_numbers(reading.headers, known)
    if trust.rpc is not None and reading.headers:
        # One block at the end of each unbroken stretch vouches for all before it.
        ends = [number for number in reading.headers if number + 1 not in reading.headers]
        told = fetch_hashes(trust.rpc, ends)
        for number in ends:
            own = reading.headers[number].hash
            if section.require(
                told.get(number) == own,
                "chain.node",
                f"block {number}",
                "the node has this block",
                f"the node has {told.get(number, 'no block')} there, the pack {own}",
            ):
                trusted |= trusted_numbers(reading.headers, [own])
    loose = sorted(needed - trusted)
    report.anchored = bool(reading.story.transactions) and not loose
    if report.anchored:
        reason = f"all {len(needed)} blocks rest on what you trust"
        section.green("chain.trust", f"{len(reading.headers)} headers", reason)
    elif trust.hashes and not trusted:
        reason = "this block is not in the pack's chain"
        section.red("chain.trust", ", ".join(trust.hashes), reason)
    else:
        last = max(reading.headers.values(), key=lambda one: one.number, default=None)
        hint = f"; its last block is {last.number} {last.hash}" if last is not None else ""
        reason = f"nothing you trust vouches for them: give --trust or --rpc{hint}"
        section.unknown("chain.trust", f"{len(loose)} blocks", reason)
    _check_deployment(section, reading, trust.deployment)


def _check_deployment(section: Section, reading: Reading, deployment: Path | None) -> None:
    if deployment is None:
        reason = "are these the contracts you agreed on? Compare, or give --deployment"
        section.unknown("chain.contracts", ", ".join(reading.contracts), reason)
        return
    known = json.loads(deployment.read_text("utf-8"))
    same = known["chain_id"] == reading.chain_id and all(
        address(known["contracts"][name]["address"]) == where
        for name, where in reading.contracts.items()
    )
    section.require(
        same, "chain.contracts", "", "the contracts you know", "not the contracts you know"
    )


def _check_names(section: Section, reading: Reading) -> None:
    profiles = {
        one.event.party: one.event.profile for one in reading.story.of(events.PartyRegistered)
    }
    given = reading.pack.json(packs.PARTIES)
    listed = [int(one["id"]) for one in given]
    section.require(
        sorted(profiles) == listed,
        "parties.listed",
        f"{len(listed)} parties",
        "those whose keys the chain shows",
        "the parties named are not those whose keys the chain shows",
    )
    for one in given:
        about = f"party {one['id']}"
        names = one["names"]
        if names is None:
            section.unknown("parties.erased", about, "its name is erased; its hash stands")
        elif any(salt is None for _, salt in names["opened"].values()):
            section.unknown("parties.name", about, "its name is our word: no salt opens the hash")
        else:
            section.require(
                hash_of_disclosed(names) == profiles.get(int(one["id"])),
                "parties.name",
                about,
                "its name opens the hash that its key signed",
                "its name is not the one that its key signed",
            )
            if names["closed"]:
                section.unknown(
                    "parties.withheld", about, "its name is withheld, its digest stands"
                )


def _check_rest(report: Report, reading: Reading, first: Section, paper: Paper | None) -> None:
    """Step 8, the seal and the page."""
    pack = reading.pack
    section = report.section("state", "What the record holds now 链上状态")
    with _guard(section, "state"):
        given = pack.json(packs.STATE)
        if given["block"] != pack.manifest["anchor"]:
            section.red("state.block", f"block {given['block']}", "not the block of the manifest")
        state = State(
            section,
            reading.headers[given["block"]],
            reading.contracts,
            {name: one["code_hash"] for name, one in pack.manifest["contracts"].items()},
        )
        expected = expected_records(
            reading.story, reading.keys, reading.chain, reading.trip, reading.loans
        )
        check_children(section, state.check(given, expected))
    with _guard(first, "seal"):
        digest = hash32(keccak(pack.files[packs.MANIFEST]))
        registry = reading.domains["PartyRegistry"]
        check_seal(first, pack.json(packs.SEAL), digest, reading.keys, registry)
    with _guard(first, "page"):
        if packs.PAGE in pack.files:
            first.require(
                render_page(sheet_of(reading)) == pack.files[packs.PAGE],
                "page",
                packs.PAGE,
                "says what the pack says, word for word",
                "says something else than the pack",
            )

    with _guard(first, "paper"):
        if packs.PAPER in pack.files:
            _check_paper(first, reading, paper)


def _check_paper(section: Section, reading: Reading, paper: Paper | None) -> None:
    maker = reading.pack.manifest.get("paper", "")
    if paper is None or paper.maker != maker:
        reason = f"made by {maker}, which this check has not at hand; {packs.PAGE} says the same"
        section.unknown("paper", packs.PAPER, reason)
        return
    section.require(
        paper.render(reading) == reading.pack.files[packs.PAPER],
        "paper",
        packs.PAPER,
        "made again from the pack, byte for byte",
        "says something else than the pack",
    )


@contextmanager
def _guard(section: Section, code: str) -> Iterator[None]:
    """Whatever a forged file makes fail is a red check of its section, not a crash."""
    try:
        yield
    except YundanError as error:
        section.red(f"{code}.refused", error.field or error.code, str(error))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  a verifier that can be crashed can be silenced
        section.red(f"{code}.refused", type(error).__name__, f"cannot be read: {error}"[:300])


def manifest_entry(name: str, data: bytes) -> dict[str, Any]:
    """A file's line in the manifest."""
    return {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
