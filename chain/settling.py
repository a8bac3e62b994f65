"""What became of what was sent: found in blocks, gone from them, or taken over by somebody else.

A row moves here only because the chain shows something: one of its own hashes in a block that proves
it, its block missing, a foreign transaction under its nonce in a final block.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa
import structlog

from chain import intents
from chain.abi import address
from chain.intents import ROWS, Attempt, Held, Intent, require_move
from chain.landings import Landing, View, find_landings, look
from chain.ports import TransactionState
from chain.reverts import understand_revert
from chain.wire import NodeError, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlmodel import Session

    from chain.client import ChainClient
    from chain.clock import Clock
    from chain.ids import Address
    from chain.storage import Storage

log = structlog.get_logger(__name__)

Changes = dict[int, dict[str, Any]]

PATIENCE = 5
"""Rounds in which an odd state must show itself before it is acted upon."""

CHECKED_AT_ONCE = 64
"""Blocks of mined rows that are looked at in one round, the lowest first."""


@dataclass(slots=True)
class Progress:
    """What one round did.

    Attributes:
        is_writer: False if another worker holds the key.
        waiting: transactions sent and not in a block, and queued ones.
        problems: what an operator should see; the rows stay and are tried again.
    """

    is_writer: bool = True
    signed: int = 0
    mined: int = 0
    final: int = 0
    refused: int = 0
    returned: int = 0
    waiting: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def landed(self) -> int:
        """Transactions found in blocks, and calls refused."""
        return self.mined + self.refused

    @property
    def changed(self) -> int:
        """Rows that were changed after they were signed."""
        return self.landed + self.final + self.returned

    @property
    def moved(self) -> bool:
        """True if anything changed, so that another round at once is worthwhile."""
        return bool(self.signed or self.changed)


class LocalControl(Protocol):
    """What a local development node lets its owner do; a real network has none of it."""

    def mine_again(self, raws: Sequence[bytes], timestamp: int) -> None:
        """Puts exactly these transactions, in order, into one block of this time."""
        ...


@dataclass(slots=True)
class Notes:
    """What a writer remembers of rows between rounds, by row number; it may be lost at any time.

    Attributes:
        sent_at: when the bytes were last sent, by the machine's steady clock.
        missing: rounds in which the nonce was used and none of the row's hashes was found.
        denied: refusals by the node that leave no hope.
    """

    sent_at: dict[int, float] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    denied: dict[int, int] = field(default_factory=dict)

    def forget(self, number: int) -> None:
        """The row needs no watching any more."""
        self.sent_at.pop(number, None)
        self.missing.pop(number, None)
        self.denied.pop(number, None)


class Settler:
    """Follows what one key has sent.

    Args:
        client: the chain.
        storage: where the rows are.
        account: of the key.
        clock: the machine's time, for the record.
        confirmations: blocks above its own after which a transaction is final.
        call_object: a row's call as JSON-RPC has it, to ask once more why it failed.
        local: control of a local node, which may lose blocks and get them back.
    """

    def __init__(
        self,
        *,
        client: ChainClient,
        storage: Storage,
        account: Address,
        clock: Clock,
        confirmations: int,
        call_object: Callable[[Intent], dict[str, str]],
        local: LocalControl | None = None,
    ) -> None:
        self._client = client
        self._storage = storage
        self._account = account
        self._clock = clock
        self._confirmations = confirmations
        self._call_object = call_object
        self._local = local
        self.notes = Notes()

    # --- looking ---

    def read(self) -> Held:
        """The rows that are under way."""
        with self._storage.look() as session:
            return intents.read_held(session, self._account)

    def look(self, held: Held) -> View:
        """The chain as far as it concerns them, in one round trip."""
        heights = {one.block_number for one in held.stranded if one.block_number is not None}
        if held.newest is not None and held.newest.block_number is not None:
            heights.add(held.newest.block_number)
        mined = {one.block_number for one in held.mined if one.block_number is not None}
        heights.update(sorted(mined)[:CHECKED_AT_ONCE])
        hashes = [attempt.hash for tries in held.attempts.values() for attempt in tries]
        return look(self._client, self._account, heights=heights, hashes=hashes)

    # --- what was final is looked at again ---

    def is_gone(self, held: Held, view: View) -> bool:
        """True if the block of the highest row is no longer on the chain."""
        newest = held.newest
        return newest is not None and not _stands(newest, view.blocks)

    def take_back(self, done: Progress) -> None:
        """Rows whose blocks are gone from the chain, found from the top down: they are sent again."""
        with self._storage.read() as session:
            rows = intents.list_in_blocks(session, self._account)
        gone: list[Intent] = []
        for at in range(0, len(rows), 50):
            part = rows[at : at + 50]
            blocks = self._client.find_blocks(one.block_number or 0 for one in part)
            lost = [one for one in part if not _stands(one, blocks)]
            gone += lost
            if len(lost) < len(part):
                break
        if not gone:
            return
        log.warning("blocks that held our transactions are gone", rows=len(gone))
        with self._storage.write() as session:
            present = {
                row.id: row.block_hash
                for at in range(0, len(gone), 500)
                for row in session.execute(
                    sa.select(ROWS.c.id, ROWS.c.block_hash)
                    .where(ROWS.c.id.in_([one.id for one in gone[at : at + 500]]))
                    .with_for_update()
                )
            }
            changes: Changes = {}
            for one in gone:
                if present.get(one.id) == one.block_hash:
                    changes[one.id] = self._returned(one, done)
            self._write(session, changes, gone)

    def _returned(self, intent: Intent, done: Progress) -> dict[str, Any]:
        """Its block is gone: the same bytes go out again. Where it stood is kept for ``_restore``."""
        require_move(intent.key, intent.state, TransactionState.SENT)
        self.notes.sent_at.pop(intent.id, None)
        done.returned += 1
        return {"state": TransactionState.SENT.value, "block_hash": None, "settled_at": None}

    # --- what landed ---

    def settle(self, held: Held, view: View, done: Progress) -> list[Intent]:
        """Sent rows found in blocks become mined or reverted; mined ones deep enough final.

        Returns:
            What is still sent.
        """
        landed = find_landings(self._client, view, held.attempts)
        by_id = {one.id: one for one in held.sent}
        reasons = self._find_reasons([(by_id[number], at) for number, at in landed.items()])
        replaced = self._find_replaced(held, view, landed, done)
        changes: Changes = {}
        for number, landing in landed.items():
            changes[number] = self._landed(by_id[number], landing, reasons.get(number), view, done)
        for one in held.mined:
            if one.block_number not in view.asked:
                continue  # its turn comes in another round
            if not _stands(one, view.blocks):
                changes[one.id] = self._returned(one, done)
            elif view.head.number - (one.block_number or 0) >= self._confirmations:
                require_move(one.key, one.state, TransactionState.FINAL)
                changes[one.id] = {
                    "state": TransactionState.FINAL.value,
                    "settled_at": self._clock.now(),
                }
                done.final += 1
        stranded = [
            one.id
            for one in held.stranded
            if one.block_number is None
            or (
                _stands(one, view.blocks)
                and view.head.number - one.block_number >= self._confirmations
            )
        ]
        if changes or replaced or stranded:
            known = {one.id: one.state for one in (*held.sent, *held.mined)}
            with self._storage.write() as session:
                present = intents.lock_states(session, [*changes, *(one.id for one in replaced)])
                current = {n: c for n, c in changes.items() if present.get(n) is known[n]}
                self._write(session, current, (*held.sent, *held.mined))
                for one in replaced:
                    if present.get(one.id) is one.state:
                        self._requeue(session, one, done)
                if stranded:
                    done.returned += intents.free_members(session, stranded, is_alone=True)
        return [one for one in held.sent if one.id not in landed and one not in replaced]

    def _write(self, session: Session, changes: Changes, rows: Iterable[Intent]) -> None:
        intents.write_changes(session, changes)
        carriers = {one.id for one in rows if one.is_carrier}
        intents.write_members(session, {n: changes[n] for n in changes if n in carriers})

    def _find_reasons(self, landings: list[tuple[Intent, Landing]]) -> dict[int, bytes]:
        """Why mined calls failed: the same call once more, on the state before their block."""
        failed = [(one, at) for one, at in landings if not at.succeeded and not at.is_void]
        if not failed:
            return {}
        answers = self._client.request_many(
            [
                (
                    "eth_call",
                    [self._call_object(one), hex(max(landing.block.number - 1, 0))],
                )
                for one, landing in failed
            ]
        )
        return {
            one.id: answer.data
            for (one, _), answer in zip(failed, answers, strict=True)
            if isinstance(answer, NodeError)
        }

    def _landed(
        self, intent: Intent, landing: Landing, reason: bytes | None, view: View, done: Progress
    ) -> dict[str, Any]:
        self.notes.forget(intent.id)
        change: dict[str, Any] = {
            "transaction_hash": landing.transaction_hash,
            "block_number": landing.block.number,
            "block_hash": landing.block.hash,
            "block_position": landing.position,
            "block_time": landing.block.at,
            "gas_used": landing.gas_used,
            "settled_at": self._clock.now(),
            "error": "",
            "error_facts": {},
            "message": "",
        }
        if landing.is_void:
            require_move(intent.key, intent.state, TransactionState.DROPPED)
            why = "given up: an empty transaction took its nonce"
            return change | {"state": TransactionState.DROPPED.value, "message": why}
        if not landing.succeeded:
            done.refused += 1
            return change | self.refused(intent, reason or b"")
        require_move(intent.key, intent.state, TransactionState.MINED)
        done.mined += 1
        is_final = view.head.number - landing.block.number >= self._confirmations
        if is_final:
            require_move(intent.key, TransactionState.MINED, TransactionState.FINAL)
            done.final += 1
        state = TransactionState.FINAL if is_final else TransactionState.MINED
        return change | {"state": state.value}

    def refused(self, intent: Intent, data: bytes) -> dict[str, Any]:
        """The columns of a call that the contract refuses with these revert data."""
        require_move(intent.key, intent.state, TransactionState.REVERTED)
        refusal = understand_revert(data)
        facts = dict(refusal.facts)
        log.info("call refused", key=intent.key, error=refusal.name, facts=facts)
        return {
            "state": TransactionState.REVERTED.value,
            "error": refusal.name[:100],
            "error_facts": facts,
            "message": f"{intent.contract}.{intent.function} was refused: {refusal.text}",
            "settled_at": self._clock.now(),
        }

    def _find_replaced(
        self, held: Held, view: View, landed: Mapping[int, Landing], done: Progress
    ) -> list[Intent]:
        """Sent rows whose nonce is used though none of their hashes is found, seen often enough."""
        found = []
        for one in held.sent:
            if one.id in landed or one.nonce is None or view.nonce <= one.nonce:
                self.notes.missing.pop(one.id, None)
                continue
            self.notes.missing[one.id] = self.notes.missing.get(one.id, 0) + 1
            tries = held.attempts.get(one.id, [])
            if self.notes.missing[one.id] >= PATIENCE and self._is_replaced(one, tries, view, done):
                found.append(one)
        return found

    def _is_replaced(
        self, intent: Intent, attempts: Sequence[Attempt], view: View, done: Progress
    ) -> bool:
        """True if a foreign transaction is SHOWN in a final block under the row's nonce."""
        assert intent.nonce is not None
        low, high = 0, view.head.number - self._confirmations
        if high < 0 or self._nonce_at(high) <= intent.nonce:
            return False
        while low < high:  # the first block after which the nonce is used
            middle = (low + high) // 2
            if self._nonce_at(middle) > intent.nonce:
                high = middle
            else:
                low = middle + 1
        body = self._client.request("eth_getBlockByNumber", [hex(low), True])
        for one in (body or {}).get("transactions", ()):
            if (
                address(one["from"]) == self._account
                and whole(one["nonce"]) == intent.nonce
                and one["hash"] not in {attempt.hash for attempt in attempts}
            ):
                done.problems.append(
                    f"nonce {intent.nonce} of {self._account} was used by a foreign "
                    f"transaction {one['hash']}; {intent.key} is queued again"
                )
                return True
        return False

    def _nonce_at(self, height: int) -> int:
        return whole(self._client.request("eth_getTransactionCount", [self._account, hex(height)]))

    def _requeue(self, session: Session, intent: Intent, done: Progress) -> None:
        """Its nonce is lost to a foreign transaction, for good: the call gets a new one."""
        require_move(intent.key, intent.state, TransactionState.REPLACED)
        self.notes.forget(intent.id)
        freed = intents.free_members(session, [intent.id], is_alone=False)
        wanted = TransactionState.REPLACED if freed else TransactionState.QUEUED
        if not freed:
            require_move(intent.key, TransactionState.REPLACED, wanted)
        change = {"state": wanted.value, "nonce": None, "raw": None, "sent_at": None}
        intents.write_changes(session, {intent.id: change | {"transaction_hash": None}})
        done.returned += 1

    # --- a local node that lost blocks ---

    def restore(self, sent: Sequence[Intent], done: Progress) -> bool:
        """The same bytes in the same blocks at the same times; True if there was anything to restore."""
        if self._local is None:
            return False
        lost = [one for one in sent if one.block_time is not None]
        if not lost:
            return False
        with self._storage.read() as session:
            query = sa.select(ROWS.c.id, ROWS.c.raw).where(ROWS.c.id.in_([one.id for one in lost]))
            raws = {row.id: row.raw for row in session.execute(query)}
        blocks: dict[int, list[Intent]] = {}
        for one in lost:
            blocks.setdefault(one.block_number or 0, []).append(one)
        log.warning("sending lost transactions again", count=len(lost))
        for number in sorted(blocks):
            ordered = sorted(
                blocks[number], key=lambda one: (one.block_position or 0, one.nonce or 0)
            )
            time_of = ordered[0].block_time
            assert time_of is not None
            self._local.mine_again([raws[one.id] for one in ordered], int(time_of.timestamp()))
        now = time.monotonic()
        self.notes.sent_at.update({one.id: now for one in lost})
        done.returned += len(lost)
        held = self.read()
        self.settle(held, self.look(held), done)
        return True


def _stands(intent: Intent, blocks: Mapping[int, Any]) -> bool:
    """True if the row's block is on the chain."""
    block = blocks.get(intent.block_number or 0)
    return block is not None and block.hash == intent.block_hash
