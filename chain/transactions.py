"""Sends what the outbox holds, exactly once in effect, whatever breaks.

The rules, each paid for by somebody's incident (see chain/README.md):

- nonce, signature and stored bytes in ONE database transaction, under the lease's fence, before the
  first send; afterwards only the same bytes are sent, by anybody, as often as need be;
- calls of a key land in the order queued; what a contract would refuse is found by simulating the
  whole queue in order, and costs no nonce;
- "already known" and "nonce too low" are resolved by looking for our own hashes on chain; a foreign
  transaction in our nonce must be shown before a call may have a new one;
- "final" is looked at again every round, newest first, by block hash; what is gone is sent again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from eth_utils.crypto import keccak
from sqlmodel import col, func, select

from chain.abi import address, hash32
from chain.client import METHOD_NOT_FOUND, NodeError, block_ref, is_revert, raw_bytes, whole
from chain.errors import ChainUnavailableError, NotFoundError, UnexpectedStateError
from chain.headers import encode_rlp, whole_bytes
from chain.ids import Hash32
from chain.lease import WriterLease
from chain.outbox import CREATION
from chain.ports import TRANSACTION_MOVES, TransactionState
from chain.reverts import understand_revert
from chain.tables import ChainIdentityRow, OutgoingTransactionRow, TransactionAttemptRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlmodel import Session

    from chain.client import ChainClient
    from chain.clock import Clock
    from chain.ids import Address
    from chain.ports import BlockRef, Signer
    from chain.storage import Storage

log = structlog.get_logger(__name__)

KNOWN = ("already known", "already imported", "known transaction", "already in pool")
NONCE_LOW = ("nonce too low", "nonce is too low", "nonce below")
HOPELESS = (
    "exceeds block gas limit",
    "intrinsic gas too",
    "initcode",
    "code size",
    "oversized data",
    "gas limit too high",
    "gas limit is greater than",
)
"""What a node says of bytes it will never take; waiting does not help."""

VOID = "void"
"""The function name of an empty transaction that only uses up a nonce."""

VOID_GAS = 21_000
PATIENCE = 5
"""Rounds in which an odd state must show itself before it is acted upon."""


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """How a writer behaves on its network.

    Attributes:
        confirmations: blocks above its own after which a transaction is final (0 where blocks are
            final at once: QBFT, a local node).
        gas_price: wei a unit of gas; 0 on a consortium network.
        in_flight: most transactions sent and not yet in a block; what nodes hold for one account.
        gas_ceiling: gas limit of one transaction; nothing is paid for what is not used.
        resend_s: seconds after which the same bytes are sent again.
        bump_after_s: seconds without a block after which the oldest pays more; needs gas_price > 0.
        bump_percent: by how much (nodes ask for at least 10).
        most_gas_price: what is never exceeded.
        lease_s: seconds a silent writer is believed to live.
    """

    confirmations: int = 0
    gas_price: int = 0
    in_flight: int = 16
    gas_ceiling: int = 15_000_000
    resend_s: float = 2.0
    bump_after_s: float = 30.0
    bump_percent: int = 15
    most_gas_price: int = 10**12
    lease_s: float = 6.0


class LocalControl(Protocol):
    """What a local development node lets its owner do; a real network has none of it."""

    def mine_again(self, raws: Sequence[bytes], timestamp: int) -> None:
        """Puts exactly these transactions, in order, into one block of this time."""
        ...


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
    def moved(self) -> bool:
        """True if anything changed, so that another round at once is worthwhile."""
        return bool(self.signed or self.mined or self.final or self.refused or self.returned)


@dataclass(frozen=True, slots=True)
class View:
    """The chain at the start of a round."""

    genesis: Hash32
    head: BlockRef
    nonce: int


@dataclass(frozen=True, slots=True)
class Landing:
    """A transaction of ours found in a block of the chain."""

    block: BlockRef
    position: int
    transaction_hash: Hash32
    gas_used: int
    succeeded: bool
    is_void: bool


def move(row: OutgoingTransactionRow, wanted: TransactionState) -> None:
    """Moves a transaction along the published table.

    Raises:
        UnexpectedStateError: the table has no such move.
    """
    current = TransactionState(row.state)
    if wanted not in TRANSACTION_MOVES[current]:
        raise UnexpectedStateError(
            f"transaction {row.key} cannot go from {current} to {wanted}",
            key=row.key,
            current=current.value,
            wanted=wanted.value,
        )
    row.state = wanted.value


class TransactionWriter:
    """The single writer of one key. One thread calls ``send_once`` again and again."""

    def __init__(
        self,
        *,
        client: ChainClient,
        storage: Storage,
        signer: Signer,
        clock: Clock,
        settings: WriterSettings | None = None,
        local: LocalControl | None = None,
    ) -> None:
        self._client = client
        self._storage = storage
        self._signer = signer
        self._clock = clock
        self._set = settings or WriterSettings()
        self._local = local
        self._lease = WriterLease(storage, signer.address, clock, seconds=self._set.lease_s)
        self._sent_at: dict[int, float] = {}
        self._missing: dict[int, int] = {}
        self._denied: dict[int, int] = {}
        self._gap_seen = 0
        self._can_simulate = True
        self._identity: ChainIdentityRow | None = None

    def send_once(self) -> Progress:
        """One round: look, settle what landed, sign what is queued, send, look again.

        Raises:
            WrongChainError: the node's chain is not the one of this database.
            ChainUnavailableError: no answer; nothing is lost.
        """
        done = Progress()
        if not self._lease.hold():
            done.is_writer = False
            return done
        view = self._look()
        self._check_identity(view)
        self._audit(done)
        self._settle(view, done)
        self._restore(done)
        self._sign(view, done)
        self._bump(view, done)
        self._fill_gap(view, done)
        if self._broadcast(done):
            self._await_blocks(done)
        with self._storage.read() as session:
            done.waiting = session.exec(
                select(func.count())
                .select_from(OutgoingTransactionRow)
                .where(
                    col(OutgoingTransactionRow.signer) == self._signer.address,
                    col(OutgoingTransactionRow.state).in_(
                        [TransactionState.QUEUED.value, TransactionState.SENT.value]
                    ),
                )
            ).one()
        return done

    def drop(self, key: str) -> None:
        """Takes a call back that has no nonce yet.

        Raises:
            NotFoundError: no such key.
            UnexpectedStateError: it is signed already; a signed call can only be awaited.
        """
        with self._storage.write() as session:
            row = session.exec(
                select(OutgoingTransactionRow).where(col(OutgoingTransactionRow.key) == key)
            ).first()
            if row is None:
                raise NotFoundError(f"there is no transaction {key}", field="key")
            if row.state != TransactionState.QUEUED.value:
                raise UnexpectedStateError(
                    f"transaction {key} is {row.state}: only a queued one can be taken back",
                    key=key,
                    current=row.state,
                )
            move(row, TransactionState.DROPPED)
            row.message = "taken back before it was signed"
            row.settled_at = self._clock.now()

    def give_up(self, key: str) -> None:
        """Signs an empty transaction for the nonce of a call that is sent but in no block.

        Whichever of the two lands first decides: the call is then mined or dropped, never both.

        Raises:
            NotFoundError: no such key.
            UnexpectedStateError: it has no nonce, or is in a block.
        """
        with self._storage.write() as session:
            self._lease.fence(session)
            row = session.exec(
                select(OutgoingTransactionRow).where(col(OutgoingTransactionRow.key) == key)
            ).first()
            if row is None:
                raise NotFoundError(f"there is no transaction {key}", field="key")
            if row.state != TransactionState.SENT.value:
                raise UnexpectedStateError(
                    f"transaction {key} is {row.state}: only a sent one can be given up",
                    key=key,
                    current=row.state,
                )
            self._attempt_again(session, row, is_void=True)

    def close(self) -> None:
        """Gives the key back to other workers at once."""
        self._lease.release()

    # --- looking ---

    def _look(self) -> View:
        genesis, head, nonce = (
            _told(answer)
            for answer in self._client.request_many(
                [
                    ("eth_getBlockByNumber", ["0x0", False]),
                    ("eth_getBlockByNumber", ["latest", False]),
                    ("eth_getTransactionCount", [self._signer.address, "latest"]),
                ]
            )
        )
        believe = self._client.believe
        return View(believe(genesis).hash, believe(head), whole(nonce))

    def _check_identity(self, view: View) -> None:
        if self._identity is None:
            self._identity = remember_chain(self._storage, self._client.chain_id, view.genesis)
        if self._identity.genesis_hash != view.genesis:
            expected = Hash32(self._identity.genesis_hash)
            self._identity = None
            self._client.require_genesis(expected)

    def _rows(
        self, session: Session, *states: TransactionState
    ) -> Sequence[OutgoingTransactionRow]:
        return session.exec(
            select(OutgoingTransactionRow)
            .where(
                col(OutgoingTransactionRow.signer) == self._signer.address,
                col(OutgoingTransactionRow.state).in_([state.value for state in states]),
            )
            .order_by(col(OutgoingTransactionRow.nonce))
        ).all()

    def _load(
        self, session: Session, rows: Sequence[OutgoingTransactionRow]
    ) -> dict[int | None, OutgoingTransactionRow]:
        """The rows as they are now, in this transaction."""
        found: dict[int | None, OutgoingTransactionRow] = {}
        ids = [row.id for row in rows]
        for at in range(0, len(ids), 500):
            part = select(OutgoingTransactionRow).where(
                col(OutgoingTransactionRow.id).in_(ids[at : at + 500])
            )
            found.update({row.id: row for row in session.exec(part)})
        return found

    def _attempts(self, session: Session, ids: list[int]) -> dict[int, list[TransactionAttemptRow]]:
        found: dict[int, list[TransactionAttemptRow]] = {}
        if ids:
            for attempt in session.exec(
                select(TransactionAttemptRow)
                .where(col(TransactionAttemptRow.outgoing_id).in_(ids))
                .order_by(col(TransactionAttemptRow.signed_at))
            ):
                found.setdefault(attempt.outgoing_id, []).append(attempt)
        return found

    # --- what landed ---

    def _settle(self, view: View, done: Progress) -> None:
        """Sent rows found in blocks become mined or reverted; mined ones deep enough final."""
        with self._storage.read() as session:
            sent = self._rows(session, TransactionState.SENT)
            mined = self._rows(session, TransactionState.MINED)
            attempts = self._attempts(session, [row.id for row in sent if row.id is not None])
        landed = self._find_landings(attempts)
        reasons = self._find_reasons(
            [(row, landed[row.id]) for row in sent if row.id is not None and row.id in landed]
        )
        canonical = self._canonical({row.block_number for row in mined if row.block_number})
        for row in sent:
            if row.id in landed or row.nonce is None or row.id is None or view.nonce <= row.nonce:
                self._missing.pop(row.id or 0, None)
            else:
                self._missing[row.id] = self._missing.get(row.id, 0) + 1
        replaced = [
            row
            for row in sent
            if row.id in self._missing
            and self._missing[row.id] >= PATIENCE
            and self._is_replaced(row, attempts.get(row.id, []), view, done)
        ]
        if not landed and not replaced and not mined:
            return
        with self._storage.write() as session:
            present = self._load(session, (*sent, *mined))
            for stale in (*sent, *mined):
                now = present.get(stale.id)
                if now is None or now.state != stale.state:
                    continue
                if now.id in landed:
                    self._land(now, landed[now.id], reasons.get(now.id), view, done)
                elif stale in replaced:
                    self._requeue(now, done)
                elif now.state == TransactionState.MINED.value and now.block_number is not None:
                    block = canonical.get(now.block_number)
                    if block is None or block.hash != now.block_hash:
                        self._return(now, done)
                    elif view.head.number - now.block_number >= self._set.confirmations:
                        move(now, TransactionState.FINAL)
                        now.settled_at = self._clock.now()
                        done.final += 1

    def _find_landings(
        self, attempts: dict[int, list[TransactionAttemptRow]]
    ) -> dict[int, Landing]:
        """Where our hashes stand: a receipt says in which block, the block's own root proves it."""
        every = [attempt for tries in attempts.values() for attempt in tries]
        answers = self._client.request_many(
            [("eth_getTransactionReceipt", [attempt.hash]) for attempt in every]
        )
        heights = {
            whole(receipt.get("blockNumber"))
            for receipt in answers
            if isinstance(receipt, dict) and receipt.get("blockNumber")
        }
        ours = {attempt.hash: attempt for attempt in every}
        bodies = list(self._client.find_bodies(heights).values())
        landed: dict[int, Landing] = {}
        for body, receipts in zip(bodies, self._client.fetch_receipts(bodies), strict=True):
            for position, receipt in enumerate(receipts):
                attempt = ours.get(receipt["transactionHash"])
                if attempt is None:
                    continue
                before = whole(receipts[position - 1]["cumulativeGasUsed"]) if position else 0
                landed[attempt.outgoing_id] = Landing(
                    block=block_ref(body),
                    position=position,
                    transaction_hash=hash32(raw_bytes(attempt.hash)),
                    gas_used=whole(receipt["cumulativeGasUsed"]) - before,
                    succeeded=whole(receipt["status"]) == 1,
                    is_void=attempt.is_void,
                )
        return landed

    def _canonical(self, heights: set[int]) -> dict[int, BlockRef]:
        return self._client.find_blocks(heights)

    def _find_reasons(
        self, landings: list[tuple[OutgoingTransactionRow, Landing]]
    ) -> dict[int | None, bytes]:
        """Why mined calls failed: the same call once more, on the state before their block."""
        failed = [(row, at) for row, at in landings if not at.succeeded and not at.is_void]
        answers = self._client.request_many(
            [
                ("eth_call", [self._call_object(row), hex(max(landing.block.number - 1, 0))])
                for row, landing in failed
            ]
        )
        return {
            row.id: answer.data
            for (row, _), answer in zip(failed, answers, strict=True)
            if isinstance(answer, NodeError)
        }

    def _land(
        self,
        row: OutgoingTransactionRow,
        landing: Landing,
        reason: bytes | None,
        view: View,
        done: Progress,
    ) -> None:
        row.transaction_hash = landing.transaction_hash
        row.block_number = landing.block.number
        row.block_hash = landing.block.hash
        row.block_position = landing.position
        row.block_time = landing.block.at
        row.gas_used = landing.gas_used
        row.settled_at = self._clock.now()
        self._sent_at.pop(row.id or 0, None)
        self._denied.pop(row.id or 0, None)
        if landing.is_void:
            move(row, TransactionState.DROPPED)
            row.message = "given up: an empty transaction took its nonce"
            return
        if not landing.succeeded:
            move(row, TransactionState.REVERTED)
            self._write_refusal(row, reason or b"")
            done.refused += 1
            return
        move(row, TransactionState.MINED)
        row.error, row.error_facts, row.message = "", {}, ""
        done.mined += 1
        if view.head.number - landing.block.number >= self._set.confirmations:
            move(row, TransactionState.FINAL)
            done.final += 1

    def _write_refusal(self, row: OutgoingTransactionRow, data: bytes) -> None:
        refusal = understand_revert(data)
        row.error = refusal.name[:100]
        row.error_facts = dict(refusal.facts)
        row.message = f"{row.contract}.{row.function} was refused: {refusal.text}"
        row.settled_at = self._clock.now()
        log.info("call refused", key=row.key, error=refusal.name, facts=row.error_facts)

    def _is_replaced(
        self,
        row: OutgoingTransactionRow,
        attempts: list[TransactionAttemptRow],
        view: View,
        done: Progress,
    ) -> bool:
        """True if a foreign transaction is SHOWN in a final block under the row's nonce."""
        assert row.nonce is not None
        low, high = 0, view.head.number - self._set.confirmations
        if high < 0 or self._nonce_at(high) <= row.nonce:
            return False
        while low < high:  # the first block after which the nonce is used
            middle = (low + high) // 2
            if self._nonce_at(middle) > row.nonce:
                high = middle
            else:
                low = middle + 1
        body = self._client.request("eth_getBlockByNumber", [hex(low), True])
        for one in (body or {}).get("transactions", ()):
            if (
                address(one["from"]) == self._signer.address
                and whole(one["nonce"]) == row.nonce
                and one["hash"] not in {attempt.hash for attempt in attempts}
            ):
                done.problems.append(
                    f"nonce {row.nonce} of {row.signer} was used by a foreign transaction "
                    f"{one['hash']}; {row.key} is queued again"
                )
                return True
        return False

    def _nonce_at(self, height: int) -> int:
        return whole(
            self._client.request("eth_getTransactionCount", [self._signer.address, hex(height)])
        )

    def _requeue(self, row: OutgoingTransactionRow, done: Progress) -> None:
        move(row, TransactionState.REPLACED)
        move(row, TransactionState.QUEUED)
        row.nonce = row.raw = row.transaction_hash = row.sent_at = None
        self._missing.pop(row.id or 0, None)
        self._sent_at.pop(row.id or 0, None)
        done.returned += 1

    def _return(self, row: OutgoingTransactionRow, done: Progress) -> None:
        """Its block is gone: the same bytes go out again. Where it stood is kept for ``_restore``."""
        move(row, TransactionState.SENT)
        row.block_hash = None
        row.settled_at = None
        self._sent_at.pop(row.id or 0, None)
        done.returned += 1

    # --- what was final is looked at again ---

    def _audit(self, done: Progress) -> None:
        with self._storage.read() as session:
            newest = session.exec(self._in_blocks().limit(1)).first()
        if newest is None or self._still_there([newest])[0]:
            return
        log.warning("a block that held our transactions is gone", number=newest.block_number)
        with self._storage.read() as session:
            rows = session.exec(self._in_blocks()).all()
        gone: list[OutgoingTransactionRow] = []
        for at in range(0, len(rows), 50):
            part = rows[at : at + 50]
            still = self._still_there(part)
            gone += [row for row, there in zip(part, still, strict=True) if not there]
            if any(still):
                break
        with self._storage.write() as session:
            present = self._load(session, gone)
            for stale in gone:
                row = present.get(stale.id)
                if row is not None and row.block_hash == stale.block_hash:
                    self._return(row, done)

    def _in_blocks(self) -> Any:
        return (
            select(OutgoingTransactionRow)
            .where(
                col(OutgoingTransactionRow.signer) == self._signer.address,
                col(OutgoingTransactionRow.block_hash).is_not(None),
            )
            .order_by(
                col(OutgoingTransactionRow.block_number).desc(),
                col(OutgoingTransactionRow.block_position).desc(),
            )
        )

    def _still_there(self, rows: Sequence[OutgoingTransactionRow]) -> list[bool]:
        blocks = self._canonical({row.block_number or 0 for row in rows})
        return [
            (found := blocks.get(row.block_number or 0)) is not None
            and found.hash == row.block_hash
            for row in rows
        ]

    def _restore(self, done: Progress) -> None:
        """On a local node that lost blocks: the same bytes in the same blocks at the same times."""
        if self._local is None:
            return
        with self._storage.read() as session:
            rows = [
                row
                for row in self._rows(session, TransactionState.SENT)
                if row.block_time is not None
            ]
        if not rows:
            return
        if self._find_landings(self._attempts_of(rows)):
            return  # some are on the chain: the next round settles them first
        blocks: dict[int, list[OutgoingTransactionRow]] = {}
        for row in rows:
            blocks.setdefault(row.block_number or 0, []).append(row)
        log.warning("sending lost transactions again", count=len(rows))
        for number in sorted(blocks):
            held = sorted(blocks[number], key=lambda row: (row.block_position or 0, row.nonce or 0))
            time_of = held[0].block_time
            assert time_of is not None
            self._local.mine_again(
                [row.raw for row in held if row.raw is not None], int(time_of.timestamp())
            )
        now = time.monotonic()
        self._sent_at.update({row.id: now for row in rows if row.id is not None})
        self._settle(self._look(), done)

    def _attempts_of(
        self, rows: Sequence[OutgoingTransactionRow]
    ) -> dict[int, list[TransactionAttemptRow]]:
        with self._storage.read() as session:
            return self._attempts(session, [row.id for row in rows if row.id is not None])

    # --- signing ---

    def _sign(self, view: View, done: Progress) -> None:
        with self._storage.read() as session:
            sent = self._rows(session, TransactionState.SENT)
            room = self._set.in_flight - len(sent)
            queued = session.exec(
                select(OutgoingTransactionRow)
                .where(
                    col(OutgoingTransactionRow.signer) == self._signer.address,
                    col(OutgoingTransactionRow.state) == TransactionState.QUEUED.value,
                )
                .order_by(col(OutgoingTransactionRow.id))
                .limit(max(room, 0))
            ).all()
        if not queued:
            return
        plan = self._plan(sent, queued)
        if not plan or not self._is_nonce_sound(view):
            return
        with self._storage.write() as session:
            self._lease.fence(session)
            nonce = max(view.nonce, self._last_nonce(session) + 1)
            now = self._clock.now()
            present = self._load(session, [row for row, _ in plan])
            for stale, verdict in plan:
                row = present.get(stale.id)
                if row is None or row.state != TransactionState.QUEUED.value:
                    continue
                if isinstance(verdict, bytes):
                    move(row, TransactionState.REVERTED)
                    self._write_refusal(row, verdict)
                    done.refused += 1
                    continue
                raw, transaction_hash = sign_transaction(
                    self._signer,
                    chain_id=self._client.chain_id,
                    nonce=nonce,
                    gas_price=self._set.gas_price,
                    gas=verdict,
                    to=self._target(row),
                    data=row.data,
                )
                row.nonce, row.raw, row.transaction_hash = nonce, raw, transaction_hash
                row.gas_limit, row.gas_price, row.sent_at = verdict, self._set.gas_price, now
                move(row, TransactionState.SENT)
                session.add(
                    TransactionAttemptRow(
                        hash=transaction_hash,
                        outgoing_id=row.id or 0,
                        signer=self._signer.address,
                        nonce=nonce,
                        raw=raw,
                        gas_price=self._set.gas_price,
                        signed_at=now,
                    )
                )
                nonce += 1
                done.signed += 1

    def _attempt_again(
        self, session: Session, row: OutgoingTransactionRow, *, is_void: bool = False
    ) -> None:
        """Another attempt under the same nonce, paying more; every earlier one may still land."""
        assert row.nonce is not None
        price = row.gas_price or 0
        higher = max(-(-price * (100 + self._set.bump_percent) // 100), price + 1)
        price = min(higher, self._set.most_gas_price) if price else 0
        raw, transaction_hash = sign_transaction(
            self._signer,
            chain_id=self._client.chain_id,
            nonce=row.nonce,
            gas_price=price,
            gas=VOID_GAS if is_void else row.gas_limit or self._set.gas_ceiling,
            to=self._signer.address if is_void else self._target(row),
            data=b"" if is_void else row.data,
        )
        row.raw, row.transaction_hash, row.gas_price = raw, transaction_hash, price
        if session.get(TransactionAttemptRow, transaction_hash) is None:
            session.add(
                TransactionAttemptRow(
                    hash=transaction_hash,
                    outgoing_id=row.id or 0,
                    signer=self._signer.address,
                    nonce=row.nonce,
                    raw=raw,
                    gas_price=price,
                    is_void=is_void,
                    signed_at=self._clock.now(),
                )
            )
        self._sent_at.pop(row.id or 0, None)

    def _bump(self, view: View, done: Progress) -> None:
        """The next transaction to be mined pays more if no block has taken it for long."""
        if not self._set.gas_price:
            return
        with self._storage.read() as session:
            rows = self._rows(session, TransactionState.SENT)
            first = next((row for row in rows if row.nonce == view.nonce), None)
            if first is None or first.id is None:
                return
            last = self._attempts(session, [first.id])[first.id][-1]
        waited = (self._clock.now() - last.signed_at).total_seconds()
        if waited < self._set.bump_after_s or last.gas_price >= self._set.most_gas_price:
            return
        with self._storage.write() as session:
            self._lease.fence(session)
            row = session.get(OutgoingTransactionRow, first.id)
            if row is not None and row.state == TransactionState.SENT.value:
                self._attempt_again(session, row, is_void=last.is_void)
                done.signed += 1

    def _fill_gap(self, view: View, done: Progress) -> None:
        """Nonces of ours that nothing holds would block all later ones: empty transactions fill them."""
        with self._storage.read() as session:
            rows = self._rows(session, TransactionState.SENT)
            lowest = min((row.nonce for row in rows if row.nonce is not None), default=None)
            if lowest is None or view.nonce >= lowest:
                self._gap_seen = 0
                return
            held = set(
                session.exec(
                    select(OutgoingTransactionRow.nonce).where(
                        col(OutgoingTransactionRow.signer) == self._signer.address,
                        col(OutgoingTransactionRow.nonce) >= view.nonce,
                    )
                )
            )
        missing = [nonce for nonce in range(view.nonce, lowest) if nonce not in held]
        self._gap_seen += 1
        if not missing or self._gap_seen < PATIENCE:
            return
        done.problems.append(f"nonces {missing} of {self._signer.address} were empty; filled")
        now = self._clock.now()
        with self._storage.write() as session:
            self._lease.fence(session)
            for nonce in missing:
                row = OutgoingTransactionRow(
                    key=f"{VOID}:{self._signer.address}:{nonce}",
                    body_hash="",
                    signer=self._signer.address,
                    contract="",
                    function=VOID,
                    to=self._signer.address,
                    data=b"",
                    nonce=nonce,
                    gas_limit=VOID_GAS,
                    gas_price=self._set.gas_price,
                    queued_at=now,
                    sent_at=now,
                )
                session.add(row)
                session.flush()
                self._attempt_again(session, row, is_void=True)
                move(row, TransactionState.SENT)
                done.signed += 1

    def _is_nonce_sound(self, view: View) -> bool:
        """A nonce beyond our own count means a foreign sender, or a wrong answer: ask again."""
        with self._storage.read() as session:
            last = self._last_nonce(session)
        if view.nonce <= last + 1:
            return True
        return all(self._look().nonce == view.nonce for _ in range(2))

    def _last_nonce(self, session: Session) -> int:
        last = session.exec(
            select(func.max(OutgoingTransactionRow.nonce)).where(
                col(OutgoingTransactionRow.signer) == self._signer.address
            )
        ).one()
        return -1 if last is None else last

    def _plan(
        self, sent: Sequence[OutgoingTransactionRow], queued: Sequence[OutgoingTransactionRow]
    ) -> list[tuple[OutgoingTransactionRow, int | bytes]]:
        """For each queued call its gas limit, or the revert data with which it would be refused."""
        if all(row.gas is not None for row in queued):
            return [(row, row.gas or 0) for row in queued]
        if any(row.function == CREATION for row in sent):
            return []  # what is being created must stand before it can be called
        made = next((at for at, row in enumerate(queued) if row.function == CREATION), None)
        if made is not None:
            queued = queued[: max(made, 1)]  # creations go by themselves, with their own gas
            if made == 0:
                return self._estimate(sent, queued)
        if self._can_simulate:
            try:
                return self._simulate_twice(sent, queued)
            except NodeError as error:
                self._can_simulate = error.rpc_code != METHOD_NOT_FOUND
                log.warning("the node cannot simulate a queue", error=error.text)
        return self._estimate(sent, queued)

    def _simulate_twice(
        self, sent: Sequence[OutgoingTransactionRow], queued: Sequence[OutgoingTransactionRow]
    ) -> list[tuple[OutgoingTransactionRow, int | bytes]]:
        """A refusal ends a call for good, so the node must say it twice in the same words."""
        plan = self._simulate(sent, queued)
        refusals = [verdict for _, verdict in plan if isinstance(verdict, bytes)]
        if refusals:
            again = self._simulate(sent, queued)
            if refusals != [verdict for _, verdict in again if isinstance(verdict, bytes)]:
                return []
        return plan

    def _simulate(
        self, sent: Sequence[OutgoingTransactionRow], queued: Sequence[OutgoingTransactionRow]
    ) -> list[tuple[OutgoingTransactionRow, int | bytes]]:
        """The whole queue in order on top of the latest block, by ``eth_simulateV1``."""
        rows = [*sent, *queued]
        calls = [self._call_object(row) for row in rows]
        room = sum(whole(call["gas"]) for call in calls)
        # The next block's time: a node would simulate at the last one's, which may be hours ago.
        pending = self._client.request("eth_getBlockByNumber", ["pending", False])
        overrides = {"gasLimit": hex(room)}
        if isinstance(pending, dict) and pending.get("timestamp"):
            overrides["time"] = hex(whole(pending["timestamp"]))
        block = {"blockOverrides": overrides, "calls": calls}
        blocks = self._client.request(
            "eth_simulateV1", [{"blockStateCalls": [block], "validation": False}, "latest"]
        )
        try:
            results = blocks[0]["calls"]
        except (TypeError, KeyError, IndexError) as error:
            raise ChainUnavailableError("the node's simulation cannot be read") from error
        if len(results) != len(rows):
            raise ChainUnavailableError("the node's simulation is not complete")
        plan: list[tuple[OutgoingTransactionRow, int | bytes]] = []
        for row, result in zip(queued, results[len(sent) :], strict=True):
            if row.gas is not None:
                plan.append((row, row.gas))
            elif whole(result["status"]) == 1:
                plan.append((row, self._set.gas_ceiling))
            else:
                plan.append((row, raw_bytes(result.get("returnData", "0x"))))
        return plan

    def _estimate(
        self, sent: Sequence[OutgoingTransactionRow], queued: Sequence[OutgoingTransactionRow]
    ) -> list[tuple[OutgoingTransactionRow, int | bytes]]:
        """One by one, each on the state its predecessors have left: slower, on any node."""
        first = queued[0]
        if first.gas is not None:
            return [(first, first.gas)]
        if sent:
            return []  # it may depend on what is not in a block yet
        try:
            self._client.request("eth_estimateGas", [self._call_object(first), "pending"])
        except NodeError as error:
            if not is_revert(error):
                raise
            return [(first, error.data)]
        return [(first, self._set.gas_ceiling)]

    def _target(self, row: OutgoingTransactionRow) -> Address | None:
        if row.function == CREATION:
            return None
        return address(row.to) if row.to else self._client.address_of(row.contract)

    def _call_object(self, row: OutgoingTransactionRow) -> dict[str, str]:
        target = self._target(row)
        call = {
            "from": self._signer.address,
            "gas": hex(row.gas or self._set.gas_ceiling),
            "input": "0x" + row.data.hex(),
        }
        return call if target is None else {**call, "to": target}

    # --- sending ---

    def _broadcast(self, done: Progress) -> bool:
        """Sends stored bytes that were not sent lately; True if something new may land at once."""
        now = time.monotonic()
        with self._storage.read() as session:
            rows = [
                row
                for row in self._rows(session, TransactionState.SENT)
                if now - self._sent_at.get(row.id or 0, -1e9) > self._set.resend_s
            ]
            attempts = self._attempts(session, [row.id for row in rows if row.id is not None])
        if not rows:
            return False
        newest = [attempts[row.id][-1] for row in rows if row.id is not None]
        answers = self._client.request_many(
            [("eth_sendRawTransaction", ["0x" + one.raw.hex()]) for one in newest]
        )
        for row, answer in zip(rows, answers, strict=True):
            self._sent_at[row.id or 0] = now
            if isinstance(answer, NodeError):
                self._take_denial(row, answer.text, done)
            else:
                self._denied.pop(row.id or 0, None)
        return True

    def _take_denial(self, row: OutgoingTransactionRow, text: str, done: Progress) -> None:
        """A node that will not take our bytes: known already, in need of help, or without hope."""
        said = text.lower()
        if any(word in said for word in (*KNOWN, *NONCE_LOW)):
            return  # our own hashes are looked for in every round
        done.problems.append(f"{row.key}: {text}")
        log.warning("the node refuses a transaction", key=row.key, error=text)
        if not any(word in said for word in HOPELESS):
            return
        self._denied[row.id or 0] = self._denied.get(row.id or 0, 0) + 1
        if self._denied[row.id or 0] >= PATIENCE:
            self._denied.pop(row.id or 0, None)
            self.give_up(row.key)

    def _await_blocks(self, done: Progress) -> None:
        """Where blocks come at once, the landing is seen in this round."""
        for pause in (0.0, 0.004, 0.008, 0.016, 0.032):
            time.sleep(pause)
            before = done.mined + done.refused
            self._settle(self._look(), done)
            if done.mined + done.refused > before:
                with self._storage.read() as session:
                    if not self._rows(session, TransactionState.SENT):
                        return


def remember_chain(storage: Storage, chain_id: int, genesis: Hash32) -> ChainIdentityRow:
    """Binds a database to its chain at the first meeting; gives what it is bound to."""
    with storage.write() as session:
        row = session.get(ChainIdentityRow, 1)
        if row is None:
            row = ChainIdentityRow(chain_id=chain_id, genesis_hash=genesis)
            session.add(row)
        return row


def sign_transaction(
    signer: Signer,
    *,
    chain_id: int,
    nonce: int,
    gas_price: int,
    gas: int,
    to: Address | None,
    data: bytes,
) -> tuple[bytes, Hash32]:
    """The bytes of a signed transaction and their hash.

    The form before EIP-1559, bound to the chain by EIP-155: every network of the EVM takes it, and a
    price of zero is just zero.
    """
    numbers = [whole_bytes(number) for number in (nonce, gas_price, gas)]
    body = [*numbers, bytes.fromhex(to[2:]) if to else b"", b"", data]
    signature = signer.sign_digest(keccak(encode_rlp([*body, whole_bytes(chain_id), b"", b""])))
    v = whole_bytes(signature[64] - 27 + 35 + 2 * chain_id)
    r, s = signature[:32].lstrip(b"\x00"), signature[32:64].lstrip(b"\x00")
    raw = encode_rlp([*body, v, r, s])
    return raw, hash32(keccak(raw))


def _told(answer: Any) -> Any:
    if isinstance(answer, NodeError):
        raise answer
    return answer
