"""The contracts' storage at one block: what the record says now must be what the events add up to.

Events left out of a pack would tell another story; the state tells how the story ended.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from eth_utils.crypto import keccak

from api.verifier.blocks import Account, Nodes
from api.verifier.pack import PackRefusedError
from chain.bindings import events
from chain.bindings.enums import TripState, WaybillState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from api.verifier.blocks import Header
    from api.verifier.money import Loan
    from api.verifier.report import Section
    from api.verifier.signatures import Keys
    from api.verifier.story import Story
    from api.verifier.waybills import Chain
    from chain.ids import Address


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a contract keeps a record: slot of the mapping or array, words of the struct, (word, byte, bytes) of each field."""

    contract: str
    slot: int
    words: int
    fields: Mapping[str, tuple[int, int, int]]

    def first(self, key: str) -> int:
        """The first slot of the record with this key.

        Args:
            key: a party's decimal id or 32 bytes in hex; two with a colon between where mappings are
                nested; "" for what stands in its slot directly.
        """
        slot = self.slot
        for part in key.split(":") if key else ():
            number = int(part, 16) if part.startswith("0x") else int(part)
            slot = int.from_bytes(keccak(number.to_bytes(32, "big") + slot.to_bytes(32, "big")))
        return slot

    def read(self, words: list[int]) -> dict[str, int]:
        """The fields from the record's words."""
        return {
            name: words[word] >> 8 * byte & (1 << 8 * size) - 1
            for name, (word, byte, size) in self.fields.items()
        }


def _layouts() -> dict[str, Layout]:
    text = resources.files("api.verifier").joinpath("layouts.json").read_text("utf-8")
    return {
        kind: Layout(
            one["contract"],
            one["slot"],
            one["words"],
            {name: (word, byte, size) for name, (word, byte, size) in one["fields"].items()},
        )
        for kind, one in json.loads(text).items()
    }


LAYOUTS: Mapping[str, Layout] = _layouts()
"""From solc's storageLayout of this version of the contracts; a test compares."""


@dataclass(frozen=True, slots=True)
class State:
    """Proves accounts and records at one block, and compares the records with what the events make.

    Attributes:
        header: of the state's block.
        contracts: addresses by name.
        codes: hash of the code by contract, as the manifest names it.
    """

    section: Section
    header: Header
    contracts: Mapping[str, Address]
    codes: Mapping[str, str]

    def check(
        self, given: Any, expected: Mapping[tuple[str, str], Mapping[str, int]]
    ) -> dict[tuple[str, str], dict[str, int]]:
        """Every record of the state file, proven; compared by (kind, id) with the fields expected.

        Raises:
            PackRefusedError: a node that proves nothing.
            MissingTrieNode: a proof that does not lead to its root.
        """
        nodes = Nodes(given["nodes"])
        accounts = self._prove_accounts(nodes)
        found: dict[tuple[str, str], dict[str, int]] = {}
        for kind, key in given["records"]:
            layout = LAYOUTS[kind]
            account, first = accounts[layout.contract], layout.first(key)
            words = [account.slot(nodes, first + word) for word in range(layout.words)]
            found[kind, key] = layout.read(words)
        if nodes.unused:
            raise PackRefusedError(
                f"{nodes.unused} nodes of the state prove nothing", field="state.json"
            )
        for kind, key in sorted(found.keys() ^ expected.keys()):
            reason = "the state's records are not those of the story"
            self.section.red("state.records", f"{kind} {key}", reason)
        for (kind, key), fields in expected.items():
            record = found.get((kind, key), fields)
            odd = ", ".join(
                f"{name} is {record[name]}, the events make {value}"
                for name, value in fields.items()
                if record[name] != value
            )
            self.section.require(
                not odd,
                "state.record",
                f"{kind} {key}",
                f"block {self.header.number} holds what the events make: {', '.join(fields)}",
                odd,
            )
        return found

    def _prove_accounts(self, nodes: Nodes) -> dict[str, Account]:
        accounts = {}
        for name, where in self.contracts.items():
            account = Account.prove(nodes, self.header.state_root, where)
            if account is None:
                self.section.red("state.code", name, "no contract stands at its address")
                continue
            accounts[name] = account
            self.section.require(
                account.code_hash == self.codes[name],
                "state.code",
                name,
                f"code {account.code_hash[:14]}… stands at {where}",
                "other code stands at its address than the manifest names",
            )
        return accounts


def expected_records(
    story: Story, keys: Keys, chain: Chain, trip: str, loans: Mapping[str, Loan]
) -> dict[tuple[str, str], dict[str, int]]:
    """What the events add up to, by record."""
    out: dict[tuple[str, str], dict[str, int]] = {}
    for party in keys.history:
        key = keys.present(party)
        out["party", str(party)] = {"key": int(key or "0x0", 16), "enrolled": 1}
    for wid in chain.waybills:
        out["waybill", str(wid)] = _waybill(story, chain, wid)
    out["trip", trip] = _trip(story, trip)
    # Who is an attestor, and what each has said: nobody's word can be left out of a pack.
    attestors = [one.event.attestor for one in story.of(events.AttestorAdded)]
    gone = len(story.of(events.AttestorRemoved))
    out["attestors", ""] = {"value": len(attestors) - gone}
    for attestor in sorted(set(attestors)):
        out["outcome", f"{trip}:{attestor}"] = {"value": _outcome(story, trip, attestor)}
    out["advance of trip", trip] = {"value": 0}
    for advance, loan in loans.items():
        if loan.is_standing:
            out["advance of trip", trip] = {"value": int(advance, 16)}
        out["advance", advance] = loan.advance_record()
        if loan.is_released:
            out["loan", advance] = loan.loan_record()
    return out


def _outcome(story: Story, trip: str, attestor: int) -> int:
    """What DeliveryRegistry holds of an attestor's last word: a hash whose last byte is the verdict."""
    words = [
        one.event
        for one in story.of(events.DriveAttested)
        if one.event.trip == trip and one.event.attestor == attestor
    ]
    if not words:
        return 0
    mark = keccak(bytes.fromhex(words[-1].root[2:]) + bytes.fromhex(words[-1].findings[2:]))
    return int.from_bytes(mark[:31] + bytes([words[-1].verdict]))


def _waybill(story: Story, chain: Chain, wid: Any) -> dict[str, int]:
    held = chain.waybills[wid]
    form = held.form
    state, paid, credited = WaybillState.ISSUED, 0, 0
    for one in story.events:
        event = one.event
        if getattr(event, "waybill", None) != wid:
            continue
        match event:
            case events.WaybillMoved():
                state = event.to
            case events.WaybillPaid():
                paid = event.paid
            case events.WaybillCredited():
                credited = event.credited
            case _:
                pass
    # A root holds its issuer, its consignee 64 bits higher and, above them, whether it is declared.
    is_root = int(form.parent, 16) == 0
    root = form.issuer | form.consignee << 64 | int(held.declared) << 128
    return {
        "above": root if is_root else int(form.parent, 16),
        "performer": form.performer,
        # Issued is what has not moved.
        "moved": 0 if state == WaybillState.ISSUED else int(state),
        "tier": held.tier,
        "version": held.version,
        "freight": held.freight,
        "covered": paid + credited,
        "quantity": held.quantity,
        "trip": int(form.trip, 16),
        "vehicle": int(form.vehicle, 16),
        "plan": int(form.plan, 16),
    }


def _trip(story: Story, trip: str) -> dict[str, int]:
    made: dict[str, int] = {
        "state": 0,
        "disputed": 0,
        "confirmed": 0,
        "condition": 0,
        "loaded": 0,
        "batches": 0,
    }
    head = bytes(32)
    for one in story.events:
        event = one.event
        if getattr(event, "trip", None) != trip:
            continue
        match event:
            case events.TripLoaded():
                made |= {"state": TripState.LOADED, "loaded": event.quantity}
            case events.TrackCommitted():
                made["batches"] += 1
                numbers = (event.count, event.first_time, event.last_time)
                head = keccak(
                    head
                    + event.index.to_bytes(32, "big")
                    + bytes.fromhex(event.root[2:])
                    + b"".join(number.to_bytes(32, "big") for number in numbers)
                )
            case events.DeliveryConfirmed():
                made |= {"confirmed": 1, "condition": event.condition, "accepted": event.accepted}
            case events.DeliveryDisputed():
                made["disputed"] = 1
                if not event.after_completion:
                    made["state"] = TripState.HELD
            case events.DisputeResolved():
                made["disputed"] = 0
                made["state"] = TripState.LOADED if event.outcome == 1 else TripState.VOID
            case events.DeliveryCompleted():
                made |= {"state": TripState.DELIVERED, "root": int(event.root, 16)}
            case events.TripVoided():
                made |= {"state": TripState.VOID, "disputed": 0}
            case _:
                pass
    return {name: int(value) for name, value in made.items()} | {
        "head": int.from_bytes(head, "big")
    }


def check_children(section: Section, found: Mapping[tuple[str, str], Mapping[str, int]]) -> None:
    """Promise A over all siblings, those of other trips included: children never exceed their parent."""
    for (kind, key), record in found.items():
        if kind == "waybill":
            section.require(
                record["childFreight"] <= record["freight"],
                "waybill.children",
                key,
                f"its children come to {record['childFreight']} of {record['freight']} fen",
                "its children's freight comes to more than its own",
            )
