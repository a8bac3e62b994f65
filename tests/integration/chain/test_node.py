"""The local node's state between runs, with anvil killed as a power cut would."""

from __future__ import annotations

import datetime as dt
import time

from chain.clock import ChainClock
from chain.local_node import LocalNode
from chain.ports import TransactionState
from deploy.node import LocalChain, find_or_make_key
from tests.integration.chain.test_indexer import make, run, seen
from tests.integration.chain.till import FIRST_BLOCK, Desk, pay, times, total


def test_a_stopped_node_comes_back_with_its_chain_and_its_time_goes_on(tmp_path):
    node = LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK)
    node.start()
    desk = Desk(node, f"sqlite:///{tmp_path}/a.sqlite")
    desk.deploy()
    later = FIRST_BLOCK + dt.timedelta(days=3)
    LocalNode(desk.client).advance_to(later)
    desk.queue(pay(1), "pay:1")
    desk.run()
    head = desk.client.fetch_head()
    assert later <= head.at < later + dt.timedelta(minutes=5)
    node.stop()
    assert node.start() == "whole"
    assert desk.client.fetch_head().hash == head.hash
    desk.queue(pay(2), "pay:2")
    desk.run()
    assert head.at <= desk.find("pay:2").block_time < later + dt.timedelta(minutes=5)
    assert desk.client.fetch(total()) == 10
    node.stop()
    desk.storage.close()


def test_a_killed_node_loses_blocks_and_the_stored_bytes_bring_them_back(tmp_path):
    node = LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK)
    node.start()
    desk = Desk(node, f"sqlite:///{tmp_path}/a.sqlite", local=None)
    desk.local = LocalNode(desk.client)
    desk.deploy()
    desk.writer.close()
    desk.writer = desk.make_writer()
    indexer = make(desk, is_local=True)
    for number in range(1, 4):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    time.sleep(2.5)  # these are in the state file
    node.files.keep_good_copy()
    LocalNode(desk.client).advance_to(FIRST_BLOCK + dt.timedelta(days=2))
    for number in range(4, 12):
        desk.queue(pay(number, number), f"pay:{number}")
    desk.run()
    run(indexer)
    before = {n: desk.find(f"pay:{n}").block_time for n in range(1, 12)}
    handled = seen(desk)
    lost = desk.client.fetch_head()
    node.kill()
    # half a file is what a kill in the middle of a write leaves
    node.files.state.write_bytes(node.files.state.read_bytes()[:1000])
    assert node.start() == "restored"
    assert desk.client.fetch_head().number < lost.number
    indexer.index_once()
    desk.writer.close()
    desk.writer = desk.make_writer()
    desk.run()
    run(indexer)
    assert desk.client.fetch(total()) == sum(range(1, 12))
    assert [desk.client.fetch(times(n)) for n in range(1, 12)] == [1] * 11
    assert [desk.find(f"pay:{n}").state for n in range(1, 12)] == [TransactionState.FINAL] * 11
    assert {n: desk.find(f"pay:{n}").block_time for n in range(1, 12)} == before
    assert [tuple(r) for r in seen(desk)] == [tuple(r) for r in handled]
    desk.queue(pay(12, 12), "pay:12")
    desk.run()
    run(indexer)
    assert seen(desk)[-1].amount == 12
    node.stop()
    desk.storage.close()


def test_a_chain_lost_whole_is_sent_again_with_its_deployment(tmp_path):
    node = LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK)
    node.start()
    desk = Desk(node, f"sqlite:///{tmp_path}/a.sqlite")
    desk.local = LocalNode(desk.client)
    desk.deploy()
    for number in range(1, 6):
        desk.queue(pay(number, number), f"pay:{number}")
    desk.run()
    node.kill()
    for path in (node.files.state, *node.files.copies()):
        path.unlink(missing_ok=True)
    assert node.start() == "lost"
    assert desk.client.fetch_head().number == 0
    desk.writer.close()
    desk.writer = desk.make_writer()
    desk.run()
    desk.client.check_deployment()
    assert desk.client.fetch(total()) == 15
    node.stop()
    desk.storage.close()


def test_a_state_that_anvil_cannot_read_gives_way_to_an_older_one_that_it_can(tmp_path):
    node = LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK)
    node.start()
    LocalNode(node.client()).advance_to(FIRST_BLOCK + dt.timedelta(days=2))
    head = node.client().fetch_head()
    node.stop()
    strange = b'{"block":{},"accounts":{}}'
    (node.files.folder / f"state.good.{time.time_ns()}.json").write_bytes(strange)
    node.files.state.write_bytes(strange)
    assert node.start() == "restored"
    assert node.client().fetch_head().hash == head.hash
    node.stop()
    assert (node.files.folder / "state.unreadable.json").read_bytes() == strange


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    one = find_or_make_key(tmp_path / "keys", "relayer")
    two = find_or_make_key(tmp_path / "keys", "relayer")
    assert one.address == two.address
    assert (tmp_path / "keys" / "relayer.key").stat().st_mode & 0o077 == 0
    assert find_or_make_key(tmp_path / "keys", "other").address != one.address


def test_the_chain_clock_follows_the_chain_and_never_goes_back(chain):
    client = chain.client()
    local = LocalNode(client)
    clock = ChainClock(lambda: client.fetch_head().at, every_s=0.0, advance=local.advance_to)
    first = clock.now()
    assert FIRST_BLOCK <= first < FIRST_BLOCK + dt.timedelta(minutes=5)
    wanted = first + dt.timedelta(days=30)
    assert clock.advance_to(wanted) == wanted
    clock.observe(first)
    assert clock.now() == wanted
    chain.kill()
    assert clock.now() == wanted
