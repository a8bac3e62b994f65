"""The service under fault: the product's own writer, indexer and loop, in a process to be killed."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from chain.client import ChainClient
from chain.clock import SystemClock
from chain.errors import ChainError
from chain.indexer import Indexer
from chain.jobs import ChainLoop
from chain.local_node import LocalNode
from chain.signers import LocalSigner
from chain.storage import Storage
from chain.transactions import TransactionWriter, WriterSettings
from tests.integration.chain.till import EVENTS, Paid

if TYPE_CHECKING:
    from chain.deployments import Deployment

PAID = sa.Table(
    "paid_by_fault_bench",
    sa.MetaData(),
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(66)),
    sa.Column("amount", sa.BigInteger),
    sa.Column("times", sa.Integer),
)


@dataclass(frozen=True)
class Orders:
    """What a service process is told."""

    storage_url: str
    node_url: str
    control_url: str
    deployment: Deployment
    key: str
    confirmations: int
    is_local: bool


def note(session, occurred) -> None:
    event = occurred.event
    session.execute(PAID.insert().values(id=event.id, amount=event.amount, times=event.times))


def make_indexer(client, storage, orders: Orders) -> Indexer:
    return Indexer(
        client=client,
        storage=storage,
        handlers={Paid: [note]},
        events=EVENTS,
        confirmations=orders.confirmations,
        is_local=orders.is_local,
    )


def serve(orders: Orders) -> None:
    """Runs until killed; a node that is away at the start is waited for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    storage = Storage(orders.storage_url)
    while os.getppid() == parent:
        try:
            client = ChainClient(
                orders.node_url,
                chain_id=orders.deployment.chain_id,
                deployment=orders.deployment,
                timeout_s=3,
            )
            control = ChainClient(
                orders.control_url, chain_id=orders.deployment.chain_id, timeout_s=3
            )
            break
        except ChainError:
            time.sleep(0.05)
    writer = TransactionWriter(
        client=client,
        storage=storage,
        signer=LocalSigner(orders.key),
        clock=SystemClock(),
        settings=WriterSettings(confirmations=orders.confirmations, resend_s=0.5),
        local=LocalNode(control) if orders.is_local else None,
    )
    loop = ChainLoop(
        writers=[writer], indexer=make_indexer(client, storage, orders), every_s=0.03, patience=200
    )
    loop.start()
    while loop.is_running() and os.getppid() == parent:
        time.sleep(0.05)
    os._exit(3 if loop.failure else 0)
