"""Reads the chain back: blocks and logs in, events handled, the cursor by block hash.

The block, its logs, every handler's work and the cursor commit together or not at all. What a node
says about a block is believed only if the roots in the block's own header prove it (chain/headers.py),
so an empty, partial or changed answer is asked again instead of taken for "nothing happened".

Finality. Handlers run only for blocks ``confirmations`` deep, so a reorganisation above that never
reaches a projection. Below it the service stops with an alarm. One case is different: a local node
that was killed wakes up with fewer blocks, and the writer sends the stored bytes again. Then the
logs that were handled must come again, equal and in order; they are matched, not handled twice, and
the first one that differs is the same alarm.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, delete, func, select, update

from chain.abi import Event, Occurred, address, hash32
from chain.bindings.events import EVENTS
from chain.client import block_ref, body_at
from chain.errors import ChainUnavailableError, DeepReorganisationError, WrongChainError
from chain.identity import remember_chain
from chain.ids import Hash32
from chain.ports import BlockRef
from chain.storage import insert_into
from chain.tables import BlockRow, ChainIdentityRow, CursorRow, EventLogRow, OwedLogRow
from chain.wire import NodeError, raw_bytes

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from chain.client import ChainClient
    from chain.deployments import Deployed
    from chain.ids import Address
    from chain.storage import Storage

log = structlog.get_logger(__name__)

CURSOR = "projection"

_BLOCKS: sa.Table = BlockRow.__table__  # type: ignore[attr-defined]  # every table class has it
_CURSORS: sa.Table = CursorRow.__table__  # type: ignore[attr-defined]  # every table class has it
# Asked in every round. A statement that is built once is not looked at again each time it is run.
_ADD_BLOCKS = sa.insert(_BLOCKS)
_ADD_LOGS = sa.insert(EventLogRow.__table__)  # type: ignore[attr-defined]  # every table class has it
_TIP = sa.select(_BLOCKS).order_by(_BLOCKS.c.number.desc()).limit(1)
_OLDEST = sa.select(sa.func.min(_BLOCKS.c.number)).where(~_BLOCKS.c.is_handled)
_TOP = sa.select(sa.func.max(_BLOCKS.c.number))
_HANDLED = sa.select(_CURSORS.c.block_number).where(_CURSORS.c.name == CURSOR)
_TURN = sa.select(col(ChainIdentityRow.id)).with_for_update()
_STORED = (
    sa.select(_BLOCKS)
    .where(~_BLOCKS.c.is_handled, _BLOCKS.c.number <= sa.bindparam("up_to"))
    .order_by(_BLOCKS.c.number)
)
_OWED = select(OwedLogRow).order_by(col(OwedLogRow.position))


@functools.cache
def _moving(dialect: str) -> Any:
    """The statement that moves the cursor."""
    insert = insert_into(dialect, _CURSORS)
    anew = {name: insert.excluded[name] for name in ("block_number", "block_hash", "block_time")}
    return insert.on_conflict_do_update(index_elements=["name"], set_=anew)


Handler = Callable[[Session, Occurred[Any]], None]
"""Works on the session given; raises to stop the indexer at this block; may see an event again after
a rebuild, so it writes what the event says and asks nothing but the database."""

ManyHandler = Callable[[Session, Sequence[Occurred[Any]]], None]
"""The same for all events of a database transaction at once, in the order of the chain."""


@dataclass(frozen=True, slots=True)
class Log:
    """One log of a block."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    transaction_hash: Hash32
    log_index: int


@dataclass(frozen=True, slots=True)
class SeenBlock:
    """A block with all logs of our contracts, checked against its header."""

    block: BlockRef
    logs: tuple[Log, ...]


@dataclass(slots=True)
class Advance:
    """What one round of the indexer did.

    Attributes:
        head: number of the chain's head; handled: last block whose events were handled.
        rolled_back: blocks taken back, none of them handled.
        matched: logs that came again after a local node had lost them.
    """

    head: int = -1
    handled: int = -1
    blocks: int = 0
    events: int = 0
    rolled_back: int = 0
    matched: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def moved(self) -> bool:
        """True if anything changed."""
        return bool(self.blocks or self.events or self.rolled_back or self.matched)


class Indexer:
    """Follows one chain into one database. One thread calls ``index_once`` again and again.

    Args:
        handlers: for each event class what to do with it, in order (``api/flow.py``).
        ask: is shown events before the database transaction begins in which they are handled, and may
            ask the chain about them; nothing else that handles them may.
        before: is shown all events of a database transaction before the first is handled, so that it
            may read in few questions what the handlers will ask for one by one.
        after: is shown them again when all have been handled, for what is cheaper done at once.
        confirmations: blocks above its own after which a block's events are handled.
        is_local: the chain is a local node's: what it lost may come again.
        batch: most blocks read in one round.
        observe: told the time of each new head (a ChainClock's ``observe``).
    """

    def __init__(
        self,
        *,
        client: ChainClient,
        storage: Storage,
        handlers: Mapping[type[Event], Sequence[Handler]],
        confirmations: int = 0,
        is_local: bool = False,
        batch: int = 200,
        observe: Callable[[dt.datetime], None] | None = None,
        events: Mapping[bytes, type[Event]] = EVENTS,
        ask: Callable[[Sequence[Occurred[Any]]], None] | None = None,
        before: ManyHandler | None = None,
        after: ManyHandler | None = None,
    ) -> None:
        self._client = client
        self._storage = storage
        self._handlers = handlers
        self._confirmations = confirmations
        self._is_local = is_local
        self._batch = batch
        self._observe = observe
        self._events = events
        self._ask = ask
        self._before = before
        self._after = after
        self._genesis: Hash32 | None = None

    def index_once(self) -> Advance:
        """Reads up to ``batch`` new blocks and handles what is deep enough.

        Raises:
            ChainUnavailableError: the node gives no believable answer; nothing was taken.
            DeepReorganisationError: handled blocks are gone from the chain.
            WrongChainError: another chain.
        """
        done = Advance()
        with self._storage.look() as connection:
            newest = connection.execute(_TIP).first()
            handled = connection.execute(_HANDLED).scalar()
            oldest = connection.execute(_OLDEST).scalar()
        tip = None if newest is None else BlockRow(**newest._asdict())
        done.handled = -1 if handled is None else handled
        head, known = self._look(tip)
        done.head = head.number
        if self._observe is not None:
            self._observe(head.at)
        if tip is not None and (known is None or known.hash != tip.hash):
            tip = self._agree(tip, head, done)
        start = self._client.deployment.first_block if tip is None else tip.number + 1
        end = min(head.number, start + self._batch - 1)
        seen = self._read(start, end, tip) if start <= end else []
        # Deep is what lies below blocks that we have read and that are linked to it: a head alone, or a
        # block out of somebody's cache, buries nothing.
        top = seen[-1].block.number if seen else -1 if tip is None else tip.number
        up_to = min(head.number, top) - self._confirmations
        # what was taken back meanwhile is seen in the transaction that handles
        is_due = oldest is not None and oldest <= up_to
        if self._ask is not None and (is_due or seen):
            self._ask(self._list_due(seen, up_to, is_due=is_due))
        if seen:
            self._take(seen, tip, up_to, done)
        elif is_due:
            self._handle(up_to, done)
        return done

    def rebuild(self, drop: Callable[[Session], None]) -> Advance:
        """Forgets blocks, logs and projections and reads everything again from the chain.

        Args:
            drop: empties the projections; runs in the transaction that empties the log.
        """
        with self._storage.write() as session:
            drop(session)
            session.execute(delete(EventLogRow))
            session.execute(delete(OwedLogRow))
            session.execute(delete(BlockRow))
            session.execute(delete(CursorRow).where(col(CursorRow.name) == CURSOR))
        total = Advance()
        while True:
            done = self.index_once()
            total.head, total.handled = done.head, done.handled
            total.blocks += done.blocks
            total.events += done.events
            if not done.moved:
                return total

    # --- agreeing on where we are ---

    def _look(self, tip: BlockRow | None) -> tuple[BlockRef, BlockRef | None]:
        """The chain's head and its block at our own height, in one round trip; another chain is refused."""
        heights = [0] if tip is None else [0, tip.number]
        questions = [body_at(height) for height in heights]
        latest, *rest = self._client.request_many(
            [("eth_getBlockByNumber", ["latest", False]), *questions]
        )
        if isinstance(latest, NodeError):
            raise latest
        genesis, *ours = (
            self._client.believe_body(answer, height)
            for height, answer in zip(heights, rest, strict=True)
        )
        if genesis is None:
            raise ChainUnavailableError("the node does not give the first block")
        self._check_identity(block_ref(genesis).hash)
        head = self._client.believe(latest)
        return head, block_ref(ours[0]) if ours and ours[0] is not None else None

    def _check_identity(self, found: Hash32) -> None:
        if self._genesis is None:
            kept = remember_chain(self._storage, self._client.chain_id, found)
            self._genesis = Hash32(kept.genesis_hash)
        if found == self._genesis:
            return
        try:
            self._client.require_genesis(self._genesis)
        except WrongChainError:
            self._genesis = None  # it may have been adopted meanwhile: read it anew
            raise

    def _cursor(self) -> int:
        with self._storage.read() as session:
            row = session.get(CursorRow, CURSOR)
            return -1 if row is None else row.block_number

    def _agree(self, tip: BlockRow, head: BlockRef, done: Advance) -> BlockRow | None:
        """The highest block that this database and the chain share; takes back what is above."""
        # One odd answer proves nothing: a node must deny a block three times.
        if any(self._is_on_chain([tip])[0] for _ in range(2)):
            return tip
        if tip.number > head.number and not self._is_local:
            # A stale head or a real loss: only a block that differs proves a loss.
            found = self._client.find_block(tip.number)
            if found is None and self._is_on_chain([self._block_at(head.number)])[0]:
                raise ChainUnavailableError(
                    f"the node is at block {head.number}, behind block {tip.number} seen before"
                )
        with self._storage.read() as session:
            rows = session.exec(
                select(BlockRow).order_by(col(BlockRow.number).desc()).limit(5000)
            ).all()
        fork: BlockRow | None = None
        for at in range(0, len(rows), 50):
            part = rows[at : at + 50]
            fork = next(
                (r for r, on in zip(part, self._is_on_chain(part), strict=True) if on), None
            )
            if fork is not None:
                break
        self._take_back(fork, done)
        return fork

    def _block_at(self, number: int) -> BlockRow | None:
        with self._storage.read() as session:
            return session.get(BlockRow, number)

    def _is_on_chain(self, rows: Sequence[BlockRow | None]) -> list[bool]:
        blocks = self._client.find_blocks(row.number for row in rows if row is not None)
        return [
            row is not None and row.number in blocks and blocks[row.number].hash == row.hash
            for row in rows
        ]

    def _take_back(self, fork: BlockRow | None, done: Advance) -> None:
        """Forgets the blocks above the fork; handled ones only if they are sure to come again."""
        above = fork.number if fork is not None else -1
        cursor = self._cursor()
        if cursor > above and not self._is_local:
            raise DeepReorganisationError(
                f"the chain was reorganised down to block {above}, but events up to block {cursor} "
                "were handled as final; stop, find out why, and rebuild the projection",
                fork=above,
                handled=cursor,
            )
        with self._storage.write() as session:
            self._take_turn(session)
            gone = session.execute(delete(BlockRow).where(col(BlockRow.number) > above))
            owe_logs(session, above)
            session.execute(delete(EventLogRow).where(col(EventLogRow.block_number) > above))
            row = session.get(CursorRow, CURSOR)
            if row is not None and row.block_number > above:
                if fork is None:
                    session.delete(row)
                else:
                    row.block_number, row.block_hash, row.block_time = (
                        fork.number,
                        fork.hash,
                        fork.at,
                    )
            done.handled = -1 if row is None or fork is None else row.block_number
        done.rolled_back += gone.rowcount  # type: ignore[attr-defined]  # a DELETE's result has it
        log.warning("blocks taken back", above=above, handled=cursor, blocks=done.rolled_back)

    # --- reading ---

    def _read(self, start: int, end: int, tip: BlockRow | None) -> list[SeenBlock]:
        """Blocks in order with the logs of our contracts; proven, linked by their parents."""
        ours = {one.address.lower(): one.address for one in self._known_contracts()}
        seen: list[SeenBlock] = []
        parent = tip.hash if tip is not None else None
        for body, told in self._client.fetch_blocks(range(start, end + 1)):
            block = block_ref(body)
            if block.number != start + len(seen):
                break  # a node behind a balancer may not have them all yet
            if parent is not None and block.parent != parent:
                break  # the chain turned while we read; the next round finds the fork
            parent = block.hash
            seen.append(SeenBlock(block, _logs_of(told, ours)))
        return seen

    def _known_contracts(self) -> Iterable[Deployed]:
        return self._client.deployment.contracts.values()

    # --- writing ---

    def _take(self, seen: list[SeenBlock], tip: BlockRow | None, up_to: int, done: Advance) -> None:
        """Remembers blocks, and handles those deep enough in the same database transaction."""
        with self._storage.write_at_length() as session:
            self._take_turn(session)
            top = session.execute(_TOP).scalar()
            if top != (None if tip is None else tip.number):
                return  # another worker was faster: the next round begins where it has come to
            self._handle_stored(session, up_to, done)
            session.connection().execute(
                _ADD_BLOCKS,
                [
                    {
                        "number": one.block.number,
                        "hash": one.block.hash,
                        "parent": one.block.parent,
                        "at": one.block.at,
                        "is_handled": one.block.number <= up_to,
                    }
                    for one in seen
                ],
            )
            rows = [
                {
                    "block_hash": one.block.hash,
                    "log_index": entry.log_index,
                    "block_number": one.block.number,
                    "transaction_hash": entry.transaction_hash,
                    "address": entry.address,
                    "topics": ",".join(hash32(topic) for topic in entry.topics),
                    "data": entry.data,
                    "is_handled": one.block.number <= up_to,
                }
                for one in seen
                for entry in one.logs
            ]
            if rows:
                session.connection().execute(_ADD_LOGS, rows)
            done.blocks += len(seen)
            self._handle_blocks(session, [one for one in seen if one.block.number <= up_to], done)

    def _list_due(self, seen: list[SeenBlock], up_to: int, *, is_due: bool) -> list[Occurred[Any]]:
        """The events that are about to be handled: of stored blocks and of those just read."""
        due: list[SeenBlock] = []
        if is_due:
            with self._storage.read() as session:
                due += _stored_blocks(session, up_to)
        due += [one for one in seen if one.block.number <= up_to]
        occurred = (self._understand(one.block, entry) for one in due for entry in one.logs)
        return [one for one in occurred if one is not None]

    def _handle(self, up_to: int, done: Advance) -> None:
        """Handles stored blocks that have become deep enough."""
        with self._storage.write_at_length() as session:
            self._take_turn(session)
            self._handle_stored(session, up_to, done)

    def _take_turn(self, session: Session) -> None:
        """One indexer at a time: without it two workers would handle the same block."""
        session.execute(_TURN).all()

    def _handle_stored(self, session: Session, up_to: int, done: Advance) -> None:
        blocks = _stored_blocks(session, up_to)
        if not blocks:
            return
        first, last = blocks[0].block.number, blocks[-1].block.number
        for row, number in (
            (EventLogRow, col(EventLogRow.block_number)),
            (BlockRow, col(BlockRow.number)),
        ):
            within = update(row).where(number >= first, number <= last)
            session.execute(within.values(is_handled=True))
        self._handle_blocks(session, blocks, done)

    def _handle_blocks(self, session: Session, blocks: list[SeenBlock], done: Advance) -> None:
        if not blocks:
            return
        logs = sum(len(one.logs) for one in blocks)
        owed: deque[OwedLogRow] = deque(session.exec(_OWED.limit(logs)) if logs else ())
        occurred: list[Occurred[Any]] = []
        for one in blocks:
            for entry in one.logs:
                if owed:
                    self._match(session, one.block, entry, owed.popleft())
                    done.matched += 1
                    continue
                done.events += 1
                seen = self._understand(one.block, entry)
                if seen is not None:
                    occurred.append(seen)
        if occurred:
            self._dispatch(session, occurred)
        last = blocks[-1].block
        done.handled = last.number
        cursor = {
            "name": CURSOR,
            "block_number": last.number,
            "block_hash": last.hash,
            "block_time": last.at,
        }
        session.execute(_moving(session.get_bind().dialect.name), cursor)

    def _match(self, session: Session, block: BlockRef, entry: Log, owed: OwedLogRow) -> None:
        """A log that was handled before the local node lost it."""
        topics = ",".join(hash32(topic) for topic in entry.topics)
        if (entry.address, topics, entry.data) != (owed.address, owed.topics, owed.data):
            raise DeepReorganisationError(
                f"the local chain came back with another log in block {block.number} than the "
                f"one handled before in block {owed.block_number}; rebuild it with `make demo`",
                block=block.number,
                handled=owed.block_number,
            )
        session.delete(owed)

    def _understand(self, block: BlockRef, entry: Log) -> Occurred[Any] | None:
        """The event in a log; None if it is of no kind that is known here."""
        known = self._events.get(entry.topics[0]) if entry.topics else None
        if known is None or known not in self._handlers:
            return None
        return Occurred(
            event=known.decode(entry.topics, entry.data),
            contract=self._client.deployment.name_of(entry.address) or "",
            address=entry.address,
            at=block.at,
            block_number=block.number,
            block_hash=block.hash,
            transaction_hash=entry.transaction_hash,
            log_index=entry.log_index,
        )

    def _dispatch(self, session: Session, occurred: Sequence[Occurred[Any]]) -> None:
        if self._before is not None:
            self._before(session, occurred)
        for one in occurred:
            for handle in self._handlers[type(one.event)]:
                handle(session, one)
        if self._after is not None:
            self._after(session, occurred)


def _stored_blocks(session: Session, up_to: int) -> list[SeenBlock]:
    """Blocks read before and not handled yet, up to one, with their logs."""
    blocks = session.execute(_STORED, {"up_to": up_to}).all()
    if not blocks:
        return []
    logs: dict[int, list[Log]] = {}
    for row in session.exec(
        select(EventLogRow)
        .where(
            col(EventLogRow.block_number) >= blocks[0].number,
            col(EventLogRow.block_number) <= blocks[-1].number,
        )
        .order_by(col(EventLogRow.block_number), col(EventLogRow.log_index))
    ):
        logs.setdefault(row.block_number, []).append(_stored_log(row))
    return [
        SeenBlock(
            BlockRef(block.number, Hash32(block.hash), Hash32(block.parent), block.at),
            tuple(logs.get(block.number, ())),
        )
        for block in blocks
    ]


def owe_logs(session: Session, above: int) -> None:
    """Notes the handled logs above a block as owed, in front of what was owed before."""
    lost = session.exec(
        select(EventLogRow)
        .where(col(EventLogRow.block_number) > above, col(EventLogRow.is_handled))
        .order_by(col(EventLogRow.block_number), col(EventLogRow.log_index))
    ).all()
    first = session.exec(select(func.min(OwedLogRow.position))).one()
    start = (0 if first is None else first) - len(lost)
    for at, row in enumerate(lost):
        session.add(
            OwedLogRow(
                position=start + at,
                block_number=row.block_number,
                address=row.address,
                topics=row.topics,
                data=row.data,
            )
        )
    session.flush()


def _stored_log(row: EventLogRow) -> Log:
    return Log(
        address=address(row.address),
        topics=tuple(bytes.fromhex(topic[2:]) for topic in row.topics.split(",") if topic),
        data=row.data,
        transaction_hash=Hash32(row.transaction_hash),
        log_index=row.log_index,
    )


def _logs_of(receipts: list[dict[str, Any]], ours: Mapping[str, Address]) -> tuple[Log, ...]:
    """The logs of our contracts, counted over all logs of the block."""
    every = (one for receipt in receipts for one in receipt["logs"])
    return tuple(
        Log(
            address=ours[one["address"].lower()],
            topics=tuple(raw_bytes(topic) for topic in one["topics"]),
            data=raw_bytes(one["data"]),
            transaction_hash=hash32(raw_bytes(one["transactionHash"])),
            log_index=at,
        )
        for at, one in enumerate(every)
        if one["address"].lower() in ours
    )
