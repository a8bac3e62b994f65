"""Sends what the outbox holds, exactly once in effect, whatever breaks.

The rules, each paid for by somebody's incident (see chain/README.md):

- nonce and stored bytes in ONE database transaction, under the lease's fence, before the first send;
  afterwards only the same bytes are sent, by anybody, as often as need be;
- calls of a key land in the order queued; what a contract would refuse is found by simulating the
  whole queue in order, and costs no nonce;
- "already known" and "nonce too low" are resolved by looking for our own hashes on chain; a foreign
  transaction in our nonce must be shown before a call may have a new one;
- "final" is looked at again every round, newest first, by block hash; what is gone is sent again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from chain import intents
from chain.errors import NotFoundError, UnexpectedStateError
from chain.identity import remember_chain
from chain.ids import Hash32
from chain.intents import ATTEMPTS, ROWS, Held, Intent, require_move
from chain.lease import WriterLease
from chain.merging import MOST, Parcel, merge_queue
from chain.planning import Planned, Planner
from chain.ports import TransactionState
from chain.raw_transaction import sign_transaction
from chain.settling import PATIENCE, Changes, LocalControl, Progress, Settler
from chain.wire import NodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlmodel import Session

    from chain.client import ChainClient
    from chain.clock import Clock
    from chain.ids import Address
    from chain.landings import View
    from chain.ports import Signer
    from chain.storage import Storage
    from chain.tables import ChainIdentityRow

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

REST_S = 0.2
"""How long the chain is not looked at again where nothing waits, is sent or is not yet final."""

VOID = "void"
"""The function name of an empty transaction that only uses up a nonce."""

VOID_GAS = 21_000


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """How a writer behaves on its network.

    Attributes:
        confirmations: blocks above its own after which a transaction is final (0 where blocks are
            final at once: QBFT, a local node).
        gas_price: wei a unit of gas; 0 on a consortium network.
        in_flight: most transactions sent and not yet in a block. Nodes of a network with strangers hold
            no more than 16 for one account when they are full; one that drops ours is told again.
        gas_ceiling: gas limit of one transaction; nothing is paid for what is not used.
        resend_s: seconds after which the same bytes are sent again.
        bump_after_s: seconds without a block after which the oldest pays more; needs gas_price > 0.
        bump_percent: by how much (nodes ask for at least 10).
        most_gas_price: what is never exceeded.
        lease_s: seconds a silent writer is believed to live.
    """

    confirmations: int = 0
    gas_price: int = 0
    in_flight: int = 64
    gas_ceiling: int = 15_000_000
    resend_s: float = 2.0
    bump_after_s: float = 30.0
    bump_percent: int = 15
    most_gas_price: int = 10**12
    lease_s: float = 6.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction signed and not stored: until it is stored, it is never sent."""

    nonce: int
    gas: int
    gas_price: int
    raw: bytes
    hash: Hash32
    is_void: bool = False


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
        self._lease = WriterLease(storage, signer.address, clock, seconds=self._set.lease_s)
        self.planner = Planner(client, signer.address, self._set.gas_ceiling)
        self._settler = Settler(
            client=client,
            storage=storage,
            account=signer.address,
            clock=clock,
            confirmations=self._set.confirmations,
            call_object=self.planner.call_object,
            local=local,
        )
        self.notes = self._settler.notes
        self._gap_seen = 0
        self._rests_until = 0.0
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
        held = self._settler.read()
        view = self._settler.look(held)
        self._check_identity(view)
        if self._settler.is_gone(held, view):
            self._settler.take_back(done)
            return done
        sent = self._settler.settle(held, view, done)
        if not self._settler.restore(sent, done):
            fresh = self._sign(view, sent, done)
            self._bump(view, sent, held, done)
            self._fill_gap(view, sent, done)
            if self._broadcast(sent, fresh, done):
                self._await_blocks(done)
        with self._storage.look() as session:
            done.waiting = intents.count_waiting(session, self._signer.address)
        if not done.moved:
            self._rests_until = time.monotonic() + REST_S
        return done

    def may_rest(self) -> bool:
        """True if the last round found nothing to do a moment ago, and there is still nothing.

        A loop that looks many times a second asks so before each round; the chain itself, where what is
        final may have gone, is looked at again after ``REST_S``.
        """
        if time.monotonic() >= self._rests_until:
            return False
        with self._storage.look() as session:
            return intents.is_idle(session, self._signer.address)

    def drop(self, key: str) -> None:
        """Takes a call back that has no nonce yet.

        Raises:
            NotFoundError: no such key.
            UnexpectedStateError: it is signed already; a signed call can only be awaited.
        """
        with self._storage.write() as session:
            intent = self._get(
                session, key, TransactionState.QUEUED, "only a queued one can be taken back"
            )
            require_move(key, intent.state, TransactionState.DROPPED)
            change = {
                "state": TransactionState.DROPPED.value,
                "message": "taken back before it was signed",
                "settled_at": self._clock.now(),
            }
            intents.write_changes(session, {intent.id: change})

    def give_up(self, key: str) -> None:
        """Signs an empty transaction for the nonce of a call that is sent but in no block.

        Whichever of the two lands first decides: the call is then mined or dropped, never both. Calls
        that travel in a batch are given up with it, and queued again one by one.

        Raises:
            NotFoundError: no such key.
            UnexpectedStateError: it has no nonce of its own, or is in a block.
        """
        with self._storage.read() as session:
            intent = self._get(
                session, key, TransactionState.SENT, "only a sent one can be given up"
            )
        void = self._sign_again(intent, is_void=True)
        with self._storage.write() as session:
            self._lease.fence(session)
            self._store_again(session, intent, void)

    def close(self) -> None:
        """Gives the key back to other workers at once."""
        self._lease.release()

    def _get(self, session: Session, key: str, state: TransactionState, why: str) -> Intent:
        intent = intents.find_intent(session, key)
        if intent is None:
            raise NotFoundError(f"there is no transaction {key}", field="key")
        found = intents.lock_states(session, [intent.id])[intent.id]
        if found is not state:
            raise UnexpectedStateError(
                f"transaction {key} is {found.value}: {why}", key=key, current=found.value
            )
        if state is TransactionState.SENT and intents.is_carried(session, intent.id):
            raise UnexpectedStateError(
                f"transaction {key} travels in a batch with others: give up the batch",
                key=key,
                current=found.value,
            )
        return intent

    # --- looking ---

    def _check_identity(self, view: View) -> None:
        if self._identity is None:
            self._identity = remember_chain(self._storage, self._client.chain_id, view.genesis)
        if self._identity.genesis_hash != view.genesis:
            expected = Hash32(self._identity.genesis_hash)
            self._identity = None
            self._client.require_genesis(expected)

    # --- signing ---

    def _sign(self, view: View, sent: Sequence[Intent], done: Progress) -> dict[int, Signed]:
        """Signs what is queued and stores it, nonce and bytes in one commit; what may be sent now.

        The signatures are made before that transaction begins: a key may live behind a slow service. A
        signature that is then not stored is never sent, and its nonce goes to the next call.
        """
        room = self._set.in_flight - len(sent)
        if room <= 0:
            return {}
        with self._storage.look() as session:
            queued = intents.list_queued(session, self._signer.address, room * MOST)
            last = intents.last_nonce(session, self._signer.address) if queued else -1
        if not queued:
            return {}
        plan = self.planner.plan(sent, merge_queue(queued)[:room])
        if not plan or not self._is_nonce_sound(view, last):
            return {}
        first = max(view.nonce, last + 1)
        signed = self._sign_plan(plan, first, room)
        stored: dict[int, Signed] = {}
        with self._storage.write() as session:
            self._lease.fence(session)
            if intents.last_nonce(session, self._signer.address) != last:
                return {}
            members = [one for planned, _ in signed for one in planned.parcel.members]
            states = intents.lock_states(session, [one.id for one in members])
            changes: Changes = {}
            for planned, made in signed:
                parcel = planned.parcel
                if any(states.get(m.id) is not TransactionState.QUEUED for m in parcel.members):
                    if made is None:
                        continue
                    break  # taken back meanwhile: the nonces after it would have a gap
                if made is None:
                    assert isinstance(planned.verdict, bytes)
                    changes[parcel.first.id] = self._settler.refused(parcel.first, planned.verdict)
                    done.refused += 1
                    continue
                number = parcel.first.id if parcel.call is None else self._carry(session, parcel)
                changes[number] = self._sent_row(parcel, made)
                stored[number] = made
            intents.write_changes(session, changes)
            intents.write_members(
                session, {n: changes[n] for n in stored if n not in {m.id for m in members}}
            )
            self._add_attempts(session, stored)
        done.signed += len(stored)
        return stored

    def _sign_plan(
        self, plan: Sequence[Planned], nonce: int, room: int
    ) -> list[tuple[Planned, Signed | None]]:
        """Signatures for a plan, as many as are made while the lease is sure to last."""
        signed: list[tuple[Planned, Signed | None]] = []
        until = time.monotonic() + self._set.lease_s / 3
        for planned in plan:
            if isinstance(planned.verdict, bytes):
                signed.append((planned, None))
                continue
            if not room or (time.monotonic() > until and any(made for _, made in signed)):
                break
            parcel = planned.parcel
            call = parcel.call
            made = self._sign_bytes(
                nonce=nonce,
                gas=planned.verdict,
                gas_price=self._set.gas_price,
                to=self.planner.target(parcel.first),
                data=parcel.first.data if call is None else call.data,
            )
            signed.append((planned, made))
            nonce += 1
            room -= 1
        return signed

    def _sign_bytes(
        self,
        *,
        nonce: int,
        gas: int,
        gas_price: int,
        to: Address | None,
        data: bytes,
        is_void: bool = False,
    ) -> Signed:
        raw, transaction_hash = sign_transaction(
            self._signer,
            chain_id=self._client.chain_id,
            nonce=nonce,
            gas_price=gas_price,
            gas=gas,
            to=to,
            data=data,
        )
        return Signed(nonce, gas, gas_price, raw, transaction_hash, is_void)

    def _sent_row(self, parcel: Parcel, made: Signed) -> dict[str, Any]:
        for one in parcel.members:
            require_move(one.key, one.state, TransactionState.SENT)
        return {
            "state": TransactionState.SENT.value,
            "nonce": made.nonce,
            "raw": made.raw,
            "transaction_hash": made.hash,
            "gas_limit": made.gas,
            "gas_price": made.gas_price,
            "sent_at": self._clock.now(),
        }

    def _carry(self, session: Session, parcel: Parcel) -> int:
        """The row of a merged call, made in the transaction that signs it; its members point to it."""
        assert parcel.call is not None
        now = self._clock.now()
        number = intents.add_row(
            session,
            key=parcel.key,
            signer=self._signer.address,
            contract=parcel.call.contract,
            function=parcel.call.function,
            data=parcel.call.data,
            queued_at=now,
        )
        session.execute(
            sa.update(ROWS)
            .where(ROWS.c.id.in_([one.id for one in parcel.members]))
            .values(carrier_id=number)
        )
        return number

    def _add_attempts(self, session: Session, made: Mapping[int, Signed]) -> None:
        if not made:
            return
        now = self._clock.now()
        session.connection().execute(
            sa.insert(ATTEMPTS),
            [
                {
                    "hash": one.hash,
                    "outgoing_id": number,
                    "signer": self._signer.address,
                    "nonce": one.nonce,
                    "raw": one.raw,
                    "gas_price": one.gas_price,
                    "is_void": one.is_void,
                    "signed_at": now,
                }
                for number, one in made.items()
            ],
        )

    def _is_nonce_sound(self, view: View, last: int) -> bool:
        """A nonce beyond our own count means a foreign sender, or a wrong answer: ask again."""
        if view.nonce <= last + 1:
            return True
        return all(self._settler.look(Held(None, [], [])).nonce == view.nonce for _ in range(2))

    # --- another attempt under the same nonce ---

    def _sign_again(self, intent: Intent, *, is_void: bool) -> Signed:
        """Another attempt, paying more; every earlier one may still land."""
        assert intent.nonce is not None
        price = intent.gas_price or 0
        higher = max(-(-price * (100 + self._set.bump_percent) // 100), price + 1)
        return self._sign_bytes(
            nonce=intent.nonce,
            gas_price=min(higher, self._set.most_gas_price) if price else 0,
            gas=VOID_GAS if is_void else intent.gas_limit or self._set.gas_ceiling,
            to=self._signer.address if is_void else self.planner.target(intent),
            data=b"" if is_void else intent.data,
            is_void=is_void,
        )

    def _store_again(self, session: Session, intent: Intent, made: Signed) -> bool:
        """Keeps a further attempt, if its row is still sent."""
        states = intents.lock_states(session, [intent.id])
        if states.get(intent.id) is not TransactionState.SENT:
            return False
        change = {"raw": made.raw, "transaction_hash": made.hash, "gas_price": made.gas_price}
        intents.write_changes(session, {intent.id: change})
        if not intents.read_raws(session, [made.hash]):
            self._add_attempts(session, {intent.id: made})
        self.notes.sent_at.pop(intent.id, None)
        return True

    def _bump(self, view: View, sent: Sequence[Intent], held: Held, done: Progress) -> None:
        """The next transaction to be mined pays more if no block has taken it for long."""
        if not self._set.gas_price:
            return
        first = next((one for one in sent if one.nonce == view.nonce), None)
        if first is None or first.id not in held.attempts:
            return
        last = held.attempts[first.id][-1]
        waited = (self._clock.now() - last.signed_at).total_seconds()
        if waited < self._set.bump_after_s or last.gas_price >= self._set.most_gas_price:
            return
        made = self._sign_again(first, is_void=last.is_void)
        with self._storage.write() as session:
            self._lease.fence(session)
            done.signed += self._store_again(session, first, made)

    def _fill_gap(self, view: View, sent: Iterable[Intent], done: Progress) -> None:
        """Nonces of ours that nothing holds would block all later ones: empty transactions fill them."""
        lowest = min((one.nonce for one in sent if one.nonce is not None), default=None)
        if lowest is None or view.nonce >= lowest:
            self._gap_seen = 0
            return
        with self._storage.read() as session:
            taken = intents.held_nonces(session, self._signer.address, view.nonce)
        missing = [nonce for nonce in range(view.nonce, lowest) if nonce not in taken]
        self._gap_seen += 1
        if not missing or self._gap_seen < PATIENCE:
            return
        done.problems.append(f"nonces {missing} of {self._signer.address} were empty; filled")
        me = self._signer.address
        voids = [
            self._sign_bytes(
                nonce=nonce,
                gas=VOID_GAS,
                gas_price=self._set.gas_price,
                to=me,
                data=b"",
                is_void=True,
            )
            for nonce in missing
        ]
        now = self._clock.now()
        with self._storage.write() as session:
            self._lease.fence(session)
            taken = intents.held_nonces(session, me, view.nonce)
            for made in voids:
                if made.nonce in taken:
                    continue
                number = intents.add_row(
                    session,
                    key=f"{VOID}:{me}:{made.nonce}",
                    signer=me,
                    contract="",
                    function=VOID,
                    to=me,
                    data=b"",
                    queued_at=now,
                )
                change = {
                    "state": TransactionState.SENT.value,
                    "nonce": made.nonce,
                    "raw": made.raw,
                    "transaction_hash": made.hash,
                    "gas_limit": made.gas,
                    "gas_price": made.gas_price,
                    "sent_at": now,
                }
                intents.write_changes(session, {number: change})
                self._add_attempts(session, {number: made})
                done.signed += 1

    # --- sending ---

    def _broadcast(
        self, sent: Sequence[Intent], fresh: Mapping[int, Signed], done: Progress
    ) -> bool:
        """Sends stored bytes that were not sent lately; True if something new may land at once."""
        now = time.monotonic()
        stale = [
            one.id
            for one in sent
            if now - self.notes.sent_at.get(one.id, -1e9) > self._set.resend_s
        ]
        raws = {}
        if stale:
            with self._storage.read() as session:
                query = sa.select(ROWS.c.id, ROWS.c.raw).where(
                    ROWS.c.id.in_(stale), ROWS.c.state == TransactionState.SENT.value
                )
                raws = {row.id: row.raw for row in session.execute(query.order_by(ROWS.c.nonce))}
        raws |= {number: made.raw for number, made in fresh.items()}
        if not raws:
            return False
        answers = self._client.request_many(
            [("eth_sendRawTransaction", ["0x" + raw.hex()]) for raw in raws.values()]
        )
        for number, answer in zip(raws, answers, strict=True):
            self.notes.sent_at[number] = now
            if isinstance(answer, NodeError):
                self._take_denial(number, answer.text, done)
            else:
                self.notes.denied.pop(number, None)
        return True

    def _take_denial(self, number: int, text: str, done: Progress) -> None:
        """A node that will not take our bytes: known already, in need of help, or without hope."""
        said = text.lower()
        if any(word in said for word in (*KNOWN, *NONCE_LOW)):
            return  # our own hashes are looked for in every round
        with self._storage.read() as session:
            key = session.execute(sa.select(ROWS.c.key).where(ROWS.c.id == number)).scalar_one()
        done.problems.append(f"{key}: {text}")
        log.warning("the node refuses a transaction", key=key, error=text)
        if not any(word in said for word in HOPELESS):
            return
        self.notes.denied[number] = self.notes.denied.get(number, 0) + 1
        if self.notes.denied[number] >= PATIENCE:
            self.notes.denied.pop(number, None)
            self.give_up(key)

    def _await_blocks(self, done: Progress) -> None:
        """Where blocks come at once, the landing is seen in this round."""
        held = self._settler.read()
        for pause in (0.0, 0.004, 0.008, 0.016, 0.032):
            time.sleep(pause)
            landed, changed = done.landed, done.changed
            left = self._settler.settle(held, self._settler.look(held), done)
            if done.landed > landed and not left:
                return
            if done.changed > changed:
                held = self._settler.read()
