"""What a node is asked, and how much of its answers is believed: the only place a Web3 object is born.

What a node says is checked before it is believed: the answer's id, its form, the chain's id and
first block, the code at each address. A transport failure and a garbled answer are the same to the
caller (ChainUnavailableError: nothing is known, ask again); what the node says in so many words is
a NodeError; what a contract says is a ContractRefusedError with the contract's own error.
"""

from __future__ import annotations

import datetime as dt
import functools
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import Web3Exception, Web3RPCError

from chain.abi import Event, Occurred, address, hash32
from chain.errors import ChainUnavailableError, NotFoundError, WrongChainError
from chain.headers import prove_header, prove_receipts
from chain.keccak import keccak
from chain.ports import BlockRef, Domain
from chain.reverts import understand_revert
from chain.wire import (
    METHOD_NOT_FOUND,
    CheckedHttpProvider,
    NodeError,
    is_revert,
    raw_bytes,
    result_of,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from chain.abi import Read
    from chain.deployments import Deployment
    from chain.ids import Address, Hash32

T = TypeVar("T")
E = TypeVar("E", bound=Event)

KEPT_BLOCKS = 512
"""Blocks whose proven headers and receipts are kept at hand: a few rounds, as every call may have its own."""

BATCH = 100
"""Most requests in one round trip; some nodes refuse larger batches."""


class ChainClient:
    """Reads the chain (it keeps ``chain.ports.ChainReader``) and hands raw requests to the node.

    Args:
        url: the node's JSON-RPC address.
        chain_id: what the node must answer; anything else is another chain.
        deployment: where the contracts stand; may be given later by ``use``.
        timeout_s: longest wait for one answer.
        proves_headers: a block's hash is the hash of its header, and that is checked; False for
            networks that leave signatures out of it (QBFT). Receipts are always proven.
        pauses_s: rests before an unanswered request is asked again; empty to ask once.

    Raises:
        ChainUnavailableError: no answer.
        WrongChainError: another chain answers.
    """

    def __init__(
        self,
        url: str,
        *,
        chain_id: int,
        deployment: Deployment | None = None,
        timeout_s: float = 10.0,
        proves_headers: bool = True,
        pauses_s: Sequence[float] = (0.01, 0.05),
    ) -> None:
        self._proves_headers = proves_headers
        self._pauses_s = tuple(pauses_s)
        self._knows_block_receipts = True
        # the writer and the indexer of a process look at the same blocks one after the other
        self._proven: dict[str, list[dict[str, Any]]] = {}
        self._headers: dict[str, dict[str, Any]] = {}
        self._heights: dict[int, str] = {}
        self._lock = threading.Lock()
        self.provider = CheckedHttpProvider(url, timeout_s)
        self.web3 = Web3(self.provider)
        self._deployment = deployment
        self._chain_id = chain_id
        found = 0
        for _ in range(3):  # one garbled answer is no other chain
            found = self._again(lambda: self.web3.eth.chain_id)
            if found == chain_id:
                break
        else:
            raise WrongChainError(
                f"the node serves chain {found}, the settings say {chain_id}",
                expected=chain_id,
                found=found,
            )

    @property
    def chain_id(self) -> int:
        """The chain's id, checked when the client was made."""
        return self._chain_id

    @property
    def deployment(self) -> Deployment:
        """Where the contracts stand.

        Raises:
            NotFoundError: nothing is deployed yet.
        """
        if self._deployment is None:
            raise NotFoundError(f"no contracts are deployed on chain {self._chain_id} yet")
        return self._deployment

    def use(self, deployment: Deployment) -> None:
        """Takes a deployment after it has been made."""
        self._deployment = deployment

    def address_of(self, contract: str) -> Address:
        """Where the deployment has put a contract.

        Raises:
            NotFoundError: the deployment knows no contract of that name.
        """
        return self.deployment.address_of(contract)

    def domain(self, contract: str) -> Domain:
        """The EIP-712 domain of a deployed contract."""
        return Domain(self._chain_id, self.address_of(contract))

    def request(self, method: str, params: list[Any]) -> Any:
        """One raw request, asked again a little later if no answer comes.

        Everything we ask may be asked twice: a signed transaction lands once however often it is sent.

        Raises:
            ChainUnavailableError: no answer, or none that can be read.
            NodeError: the node refused.
        """
        return self._again(lambda: result_of(self.provider.make_request(method, params)))  # type: ignore[arg-type]  # web3 names the methods it knows

    def request_many(self, questions: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Several raw requests in few round trips; a refused one stands as its NodeError.

        Raises:
            ChainUnavailableError: no answer, or none that can be read.
        """
        results: list[Any] = []
        for at in range(0, len(questions), BATCH):
            ask = functools.partial(self.provider.ask_many, questions[at : at + BATCH])
            for answer in self._again(ask):
                try:
                    results.append(result_of(answer))
                except NodeError as error:
                    results.append(error)
        return results

    def _again(self, ask: Callable[[], T]) -> T:
        for pause in self._pauses_s:
            try:
                return _asked(ask)
            except ChainUnavailableError:
                time.sleep(pause)
        return _asked(ask)

    def fetch_genesis_hash(self) -> Hash32:
        """The hash of block 0: with the chain id, the chain's name."""
        return self.believe(self.request("eth_getBlockByNumber", ["0x0", False])).hash

    def fetch_head(self) -> BlockRef:
        """The latest block."""
        return self.believe(self.request("eth_getBlockByNumber", ["latest", False]))

    def require_genesis(self, expected: Hash32) -> None:
        """Checks that the chain is the one a database was written for.

        Raises:
            WrongChainError: it says three times that its first block is another.
        """
        found = expected
        for _ in range(3):
            found = self.fetch_genesis_hash()
            if found == expected:
                return
        raise WrongChainError(
            "the node's chain is not the one this database was written for (its first block "
            "differs); point to the right node, or rebuild the local chain with `make demo`",
            expected=expected,
            found=found,
        )

    def find_block(self, number: int) -> BlockRef | None:
        """The block at a height, if the chain is that high."""
        return self.find_blocks([number]).get(number)

    def find_blocks(self, numbers: Iterable[int]) -> dict[int, BlockRef]:
        """The blocks at several heights, as far as the chain reaches."""
        return {number: self.believe(body) for number, body in self.find_bodies(numbers).items()}

    def find_bodies(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        """The blocks at several heights as the node tells them, each proven by its hash."""
        ordered = sorted(set(numbers))
        answers = self.request_many([body_at(number) for number in ordered])
        found = {}
        for number, answer in zip(ordered, answers, strict=True):
            body = self.believe_body(answer, number)
            if body is not None:
                found[number] = body
        return found

    def believe_body(self, answer: Any, number: int) -> dict[str, Any] | None:
        """What a node answers to ``body_at(number)``, proven by its hash; None above the head.

        Raises:
            ChainUnavailableError: it is no block, or another.
            NodeError: the node refused.
        """
        if isinstance(answer, NodeError):
            raise answer
        if answer is None:
            return None
        if self.believe(answer).number != number:
            raise ChainUnavailableError("the node's block is not of the height asked")
        body: dict[str, Any] = answer
        return body

    def fetch_blocks(
        self, numbers: Iterable[int]
    ) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Blocks with all their receipts, in one round trip: as far as the chain reaches, in order.

        Raises:
            ChainUnavailableError: receipts do not fit, or cannot be had.
        """
        ordered = sorted(set(numbers))
        with self._lock:
            known = {number: self._heights.get(number, "") for number in ordered}
            wanted = [n for n in ordered if known[n] not in self._proven]
        if not self._knows_block_receipts:
            wanted = []
        answers = self.request_many(
            [body_at(number) for number in ordered]
            + [("eth_getBlockReceipts", [hex(number)]) for number in wanted]
        )
        told = dict(zip(wanted, answers[len(ordered) :], strict=True))
        bodies = []
        for number, answer in zip(ordered, answers, strict=False):
            body = self.believe_body(answer, number)
            if body is None:
                continue
            bodies.append(body)
            receipts = told.get(number)
            if isinstance(receipts, NodeError) and receipts.rpc_code == METHOD_NOT_FOUND:
                self._knows_block_receipts = False
            if isinstance(receipts, list) and body.get("transactions"):
                self._take_receipts(body, receipts)
        return list(zip(bodies, self.fetch_receipts(bodies), strict=True))

    def fetch_receipts(self, bodies: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """All receipts of each block, proven by the root in its header.

        Raises:
            ChainUnavailableError: they do not fit, or cannot be had.
        """
        with self._lock:
            proven = {
                body["hash"]: self._proven[body["hash"]]
                for body in bodies
                if body["hash"] in self._proven
            }
        busy = [body for body in bodies if body.get("transactions") and body["hash"] not in proven]
        answers: list[Any] = []
        if busy and self._knows_block_receipts:
            answers = self.request_many(
                [("eth_getBlockReceipts", [{"blockHash": body["hash"]}]) for body in busy]
            )
            self._knows_block_receipts = not any(
                isinstance(one, NodeError) and one.rpc_code == METHOD_NOT_FOUND for one in answers
            )
        if busy and not self._knows_block_receipts:  # one by one, on older nodes
            answers = [
                self.request_many(
                    [("eth_getTransactionReceipt", [one]) for one in body["transactions"]]
                )
                for body in busy
            ]
        for body, receipts in zip(busy, answers, strict=True):
            proven[body["hash"]] = self._take_receipts(body, receipts)
        return [proven.get(body["hash"], []) for body in bodies]

    def _take_receipts(self, body: dict[str, Any], receipts: Any) -> list[dict[str, Any]]:
        """Receipts proven by their block's header, kept at hand."""
        if not isinstance(receipts, list) or any(not isinstance(r, dict) for r in receipts):
            raise ChainUnavailableError("the node does not give a block's receipts")
        prove_receipts(body, receipts)
        with self._lock:
            self._proven[body["hash"]] = receipts
            self._heights[int(body["number"], 16)] = body["hash"]
            if len(self._proven) > KEPT_BLOCKS:
                self._proven.pop(next(iter(self._proven)))
            if len(self._heights) > KEPT_BLOCKS:
                self._heights.pop(next(iter(self._heights)))
        return receipts

    def believe(self, body: Any) -> BlockRef:
        """The reference of a block as the node tells it, its header proven by its hash.

        Raises:
            ChainUnavailableError: the answer is no block, or does not fit its hash.
        """
        block = block_ref(body)
        if self._proves_headers and self._headers.get(block.hash) != body:
            prove_header(body)
            with self._lock:  # the very same answer need not be hashed again
                self._headers[block.hash] = body
                if len(self._headers) > KEPT_BLOCKS:
                    self._headers.pop(next(iter(self._headers)))
        return block

    def fetch_nonce(self, account: Address) -> int:
        """How many transactions of an account are in blocks."""
        return self._again(
            lambda: self.web3.eth.get_transaction_count(to_checksum_address(account))
        )

    def fetch_code(self, account: Address) -> bytes:
        """The code at an address; empty if there is none."""
        return self._again(lambda: bytes(self.web3.eth.get_code(to_checksum_address(account))))

    def fetch(self, read: Read[T], *, block: int | Hash32 | None = None) -> T:
        """The answer at a block (by hash or number; the latest if None).

        Raises:
            ContractRefusedError: the contract reverted; it names the error and its arguments.
            ChainUnavailableError: no answer from the node.
        """
        return self.fetch_many([read], block=block)[0]

    def fetch_many(self, reads: Sequence[Read[T]], *, block: int | Hash32 | None = None) -> list[T]:
        """The answers to several questions at one block, in one round trip.

        Raises:
            ContractRefusedError: the first contract that reverted.
            ChainUnavailableError: no answer from the node.
        """
        if block is None and len(reads) > 1:
            block = self.fetch_head().hash  # a batch may be answered across a new block
        where = block_parameter(block)
        questions = [
            (
                "eth_call",
                [
                    {
                        "to": read.to or self.address_of(read.contract),
                        "data": "0x" + read.data.hex(),
                    },
                    where,
                ],
            )
            for read in reads
        ]
        answers: list[T] = []
        for read, raw in zip(reads, self.request_many(questions), strict=True):
            if isinstance(raw, NodeError):
                if not is_revert(raw):
                    raise raw
                raise understand_revert(raw.data).as_error(f"{read.contract}.{read.function}")
            answers.append(read.decode(raw_bytes(raw)))
        return answers

    def _find_first_since(self, at: dt.datetime, first: int, last: int) -> int:
        """The first of some blocks whose time is not before an instant; one behind the last if there is none."""
        behind = last + 1
        while first < behind:
            middle = (first + behind) // 2
            block = self.find_block(middle)
            if block is None:
                raise ChainUnavailableError("the chain moved while it was read; ask again")
            if block.at < at:
                first = middle + 1
            else:
                behind = middle
        return first

    def fetch_events(
        self,
        kind: type[E],
        *,
        about: Hash32 | None = None,
        since: dt.datetime | None = None,
        last: int | None = None,
    ) -> list[Occurred[E]]:
        """Every event of a kind whose first indexed argument is ``about``, in the order of the chain.

        An empty or short answer proves nothing: compare with what the contract counts.

        Args:
            kind: the event.
            about: its first indexed argument; None takes any.
            since: earlier ones are left out, and not asked for; None asks from the deployment on.
            last: the last block asked; the latest if None.
        """
        wanted = ["0x" + kind.TOPIC.hex(), *([] if about is None else [about])]
        deployment = self.deployment
        head = self.fetch_head().number if last is None else last
        first = deployment.first_block
        if since is not None:
            first = self._find_first_since(since, first, head)
        found = self._find_logs(wanted, first, head)
        blocks: dict[int, BlockRef | None] = {}
        events = []
        for entry in found:
            number = whole(entry["blockNumber"])
            if number not in blocks:
                blocks[number] = self.find_block(number)
            block = blocks[number]
            if block is None or block.hash != hash32(raw_bytes(entry["blockHash"])):
                raise ChainUnavailableError("the chain moved while it was read; ask again")
            account = address(entry["address"])
            topics = [raw_bytes(topic) for topic in entry["topics"]]
            events.append(
                Occurred(
                    event=kind.decode(topics, raw_bytes(entry["data"])),
                    contract=deployment.name_of(account) or "",
                    address=account,
                    at=block.at,
                    block_number=number,
                    block_hash=block.hash,
                    transaction_hash=hash32(raw_bytes(entry["transactionHash"])),
                    log_index=whole(entry["logIndex"]),
                )
            )
        return sorted(events, key=lambda one: (one.block_number, one.log_index))

    def _find_logs(self, topics: list[str], first: int, last: int) -> list[Any]:
        """Logs of our contracts in a range of blocks; halved where a node will not answer for all of it."""
        if first > last:
            return []
        accounts = [one.address for one in self.deployment.contracts.values()]
        query = {"address": accounts, "topics": topics}
        try:
            found = self.request(
                "eth_getLogs", [query | {"fromBlock": hex(first), "toBlock": hex(last)}]
            )
        except NodeError:
            if first == last:
                raise
            middle = (first + last) // 2
            return [
                *self._find_logs(topics, first, middle),
                *self._find_logs(topics, middle + 1, last),
            ]
        if not isinstance(found, list):
            raise ChainUnavailableError("the node's answer is not a list of logs")
        return found

    def check_deployment(self) -> None:
        """Checks that the chain and the code at every address are those of the deployment.

        Raises:
            WrongChainError: another first block, or other code at an address.
        """
        deployment = self.deployment
        genesis = self.fetch_genesis_hash()
        if (deployment.chain_id, deployment.genesis_hash) != (self._chain_id, genesis):
            raise WrongChainError(
                "the node's chain is not the one the contracts were deployed on (its first block "
                "differs); point to the right node, or rebuild the local chain with `make demo`",
                expected=deployment.genesis_hash,
                found=genesis,
            )
        for name, deployed in deployment.contracts.items():
            found = hash32(keccak(self.fetch_code(deployed.address)))
            if found != deployed.code_hash:
                raise WrongChainError(
                    f"the code at {deployed.address} is not {name} as it was deployed",
                    contract=name,
                    expected=deployed.code_hash,
                    found=found,
                )

    def close(self) -> None:
        """Closes the connection of this thread."""
        self.provider.close()


def _asked(ask: Callable[[], T]) -> T:
    """A question through web3, whose own errors become ours."""
    try:
        return ask()
    except Web3RPCError as error:
        raise NodeError(0, str(error.message or error)) from error
    except (Web3Exception, ValueError, TypeError) as error:
        raise ChainUnavailableError("the node's answer cannot be read") from error


def block_ref(body: Any) -> BlockRef:
    """The reference of a block as the node tells it.

    Raises:
        ChainUnavailableError: the answer is no block.
    """
    try:
        return BlockRef(
            number=whole(body["number"]),
            hash=hash32(raw_bytes(body["hash"])),
            parent=hash32(raw_bytes(body["parentHash"])),
            at=dt.datetime.fromtimestamp(whole(body["timestamp"]), dt.UTC),
        )
    except (TypeError, KeyError) as error:
        raise ChainUnavailableError("the node's answer is not a block") from error


def body_at(number: int) -> tuple[str, list[Any]]:
    """The question for the block at a height."""
    return "eth_getBlockByNumber", [hex(number), False]


def block_parameter(block: int | Hash32 | None) -> Any:
    """A block as the last parameter of a call."""
    if block is None:
        return "latest"
    return hex(block) if isinstance(block, int) else {"blockHash": block}
