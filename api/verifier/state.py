"""The contracts' storage at one block: what the record says now must be what the events add up to.

Events left out of a pack would tell another story; the state tells how the story ended.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """Where a contract keeps a record: slot of the mapping, words of the struct, (word, byte, bytes) of each field."""

    contract: str
    slot: int
    words: int
    fields: Mapping[str, tuple[int, int, int]]

    def first(self, key: str) -> int:
        """The first slot of the record with this key (a party's decimal id, or 32 bytes in hex)."""
        number = int(key, 16) if key.startswith("0x") else int(key)
        return int.from_bytes(keccak(number.to_bytes(32, "big") + self.slot.to_bytes(32, "big")))

    def read(self, words: list[int]) -> dict[str, int]:
        """The fields from the record's words."""
        return {
            name: words[word] >> 8 * byte & (1 << 8 * size) - 1
            for name, (word, byte, size) in self.fields.items()
        }


LAYOUTS: Mapping[str, Layout] = {
    "party": Layout("PartyRegistry", 4, 1, {"key": (0, 0, 20), "enrolled": (0, 20, 1)}),
    "waybill": Layout(
        "WaybillRegistry",
        2,
        8,
        {
            "parent": (0, 0, 32),
            "issuer": (1, 0, 8),
            "performer": (1, 8, 8),
            "consignee": (1, 16, 8),
            "state": (2, 0, 1),
            "declared": (2, 1, 1),
            "tier": (2, 2, 1),
            "version": (2, 12, 4),
            "freight": (3, 0, 8),
            "childFreight": (3, 8, 8),
            "paid": (3, 16, 8),
            "credited": (3, 24, 8),
            "quantity": (4, 0, 8),
            "trip": (5, 0, 32),
            "vehicle": (6, 0, 32),
            "plan": (7, 0, 32),
        },
    ),
    "trip": Layout(
        "DeliveryRegistry",
        3,
        4,
        {
            "state": (0, 0, 1),
            "disputed": (0, 1, 1),
            "confirmed": (0, 2, 1),
            "condition": (0, 3, 1),
            "loaded": (0, 4, 8),
            "accepted": (0, 12, 8),
            "batches": (1, 0, 4),
            "head": (2, 0, 32),
            "root": (3, 0, 32),
        },
    ),
    "witnesses": Layout("DeliveryRegistry", 8, 1, {"count": (0, 0, 32)}),
    "loan": Layout(
        "CreditFacility",
        4,
        5,
        {
            "line": (0, 0, 32),
            "outstanding": (1, 0, 8),
            "drawn": (1, 8, 8),
            "feePaid": (1, 16, 8),
            "penaltyPaid": (1, 24, 8),
            "interestPaid": (2, 0, 8),
            "startDay": (2, 8, 4),
            "dueDay": (2, 12, 4),
            "interestNum": (3, 0, 16),
            "penaltyNum": (3, 16, 16),
            "ceilingNum": (4, 0, 16),
            "accruedTo": (4, 16, 4),
        },
    ),
    "advance": Layout(
        "FreightAdvance",
        4,
        7,
        {
            "line": (0, 0, 32),
            "waybill": (1, 0, 32),
            "trip": (2, 0, 32),
            "fingerprint": (3, 0, 32),
            "borrower": (4, 0, 8),
            "lender": (4, 8, 8),
            "state": (4, 24, 1),
            "principal": (5, 0, 8),
            "released": (5, 8, 8),
            "drawn": (5, 16, 8),
        },
    ),
    "advance of trip": Layout("FreightAdvance", 6, 1, {"advance": (0, 0, 32)}),
}
"""From solc's storageLayout of the deployed version; a test compares."""


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
    witnesses = {
        one.event.attestor for one in story.of(events.DriveAttested) if one.event.trip == trip
    }
    out["witnesses", trip] = {"count": len(witnesses)}
    out["advance of trip", trip] = {"advance": 0}
    for advance, loan in loans.items():
        if loan.is_standing:
            out["advance of trip", trip] = {"advance": int(advance, 16)}
        out["advance", advance] = loan.advance_record()
        if loan.is_released:
            out["loan", advance] = loan.loan_record()
    return out


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
    return {
        "parent": int(form.parent, 16),
        "issuer": form.issuer,
        "performer": form.performer,
        "consignee": form.consignee,
        "state": int(state),
        "declared": int(held.declared),
        "tier": held.tier,
        "version": held.version,
        "freight": held.freight,
        "paid": paid,
        "credited": credited,
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
