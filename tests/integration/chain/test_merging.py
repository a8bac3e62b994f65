"""Queued waybills in one batch call: the real registry, a real node."""

from __future__ import annotations

import dataclasses

import pytest
from sqlmodel import col, select

from chain.bindings.structs import Waybill
from chain.bindings.waybill_registry import WaybillRegistry
from chain.errors import UnexpectedStateError
from chain.ids import TripId, WaybillId
from chain.merging import merge_queue
from chain.planning import Planned
from chain.tables import OutgoingTransactionRow
from chain.transactions import TransactionWriter, WriterSettings
from chain.typed_data import struct_hash
from deploy.node import LocalChain
from tests.integration.finance.town import FAR, FIRST_BLOCK, ZERO, Town, word


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("merging")
    with LocalChain(folder / "node", first_block_at=FIRST_BLOCK, keep_state=False) as chain:
        made = Town(chain, f"sqlite:///{folder}/yundan.sqlite", folder / "deployments")
        made.enrol()
        yield made
        made.storage.close()
        made.client.close()


def forms(town, freight=1_000_000) -> list[Waybill]:
    """Three tiers of one trip."""
    start, note, found = town.now(), town.number(), []
    chain = [("consignor", "carrier"), ("carrier", "firm"), ("firm", "driver")]
    for tier, (issuer, performer) in enumerate(chain):
        leaf = tier == 2
        found.append(
            Waybill(
                parent=WaybillId(struct_hash(found[-1])) if found else WaybillId(ZERO),
                issuer=town.parties[issuer],
                performer=town.parties[performer],
                consignee=town.parties["consignee"],
                shipping_note=note,
                trip=TripId(town.number()) if leaf else TripId(ZERO),
                vehicle=town.number() if leaf else ZERO,
                freight=freight - tier,
                quantity=30_000,
                load_from=start - 60,
                deliver_by=start + 10 * 86_400,
                term_days=45,
                plan=town.number() if leaf else ZERO,
                policy=word(7) if leaf else ZERO,
                document=town.number(),
                expires=FAR,
                salt=town.number(),
            )
        )
    return found


def names(town):
    return {number: name for name, number in town.parties.items()}


def queue(town, waybills) -> list[str]:
    keys = []
    for form in waybills:
        who = names(town)
        call = WaybillRegistry.issue(
            form,
            town.sign(who[form.issuer], form, "WaybillRegistry"),
            town.sign(who[form.performer], form, "WaybillRegistry"),
        )
        keys.append(f"issue:{struct_hash(form)}")
        with town.storage.write() as session:
            town.outbox(session).queue(call, key=keys[-1])
    return keys


def rows(town, keys):
    with town.storage.read() as session:
        found = session.exec(
            select(OutgoingTransactionRow).where(col(OutgoingTransactionRow.key).in_(keys))
        ).all()
    return sorted(found, key=lambda row: keys.index(row.key))


def carrier_of(town, row):
    with town.storage.read() as session:
        return session.get(OutgoingTransactionRow, row.carrier_id)


def stages(town, waybills):
    reads = [WaybillRegistry.get(WaybillId(struct_hash(form))) for form in waybills]
    return [record.state.name for record in town.client.fetch_many(reads)]


def test_waybills_that_wait_together_travel_together_and_cost_less(town):
    three = forms(town)
    keys = queue(town, three)
    town.settle_down()
    held = rows(town, keys)
    assert [row.state for row in held] == ["final"] * 3
    assert len({row.transaction_hash for row in held}) == 1
    assert [row.nonce for row in held] == [None] * 3
    carrier = carrier_of(town, held[0])
    assert (carrier.function, carrier.state) == ("issueBatch", "final")
    assert carrier.transaction_hash == held[0].transaction_hash
    assert "NONE" not in stages(town, three)
    with town.storage.read() as session:
        seen = town.outbox(session).find(keys[2])
    assert (seen.block_number, seen.block_hash) == (carrier.block_number, carrier.block_hash)

    single = forms(town)
    gas = 0
    for form in single:
        (key,) = queue(town, [form])
        town.settle_down()
        gas += rows(town, [key])[0].gas_used
    assert carrier.gas_used < gas


def test_one_that_is_refused_is_told_and_the_others_travel_together(town):
    three, other = forms(town), forms(town)
    greedy = dataclasses.replace(other[1], freight=other[0].freight + 1)
    keys = queue(town, [*three, other[0], greedy])
    town.settle_down()
    held = rows(town, keys)
    assert [row.state for row in held] == ["final"] * 4 + ["reverted"]
    assert held[4].error == "WaybillFreightExceedsParent"
    assert held[4].carrier_id is None
    assert held[4].nonce is None
    assert len({row.transaction_hash for row in held[:4]}) == 1


def test_members_of_a_batch_that_fails_in_its_block_are_sent_again_one_by_one(town, monkeypatch):
    three, other = forms(town), forms(town)
    greedy = dataclasses.replace(other[1], freight=other[0].freight + 1)
    keys = queue(town, [*three, other[0], greedy])

    def careless(sent, parcels):
        return [Planned(parcel, 5_000_000) for parcel in parcels]

    monkeypatch.setattr(town.writer.planner, "plan", careless)
    town.writer.send_once()
    monkeypatch.undo()
    town.settle_down()
    held = rows(town, keys)
    assert [row.state for row in held] == ["final"] * 4 + ["reverted"]
    assert held[4].error == "WaybillFreightExceedsParent"
    assert [row.carrier_id for row in held] == [None] * 5
    assert len({row.transaction_hash for row in held[:4]}) == 4
    with town.storage.read() as session:
        failed = session.exec(
            select(OutgoingTransactionRow).where(
                col(OutgoingTransactionRow.function) == "issueBatch",
                col(OutgoingTransactionRow.state) == "reverted",
            )
        ).one()
    assert failed.error == "WaybillFreightExceedsParent"
    assert "NONE" not in stages(town, [*three, other[0]])


def test_a_crash_between_storing_and_sending_sends_the_same_batch(town, monkeypatch):
    three = forms(town)
    keys = queue(town, three)
    monkeypatch.setattr(town.writer, "_broadcast", lambda *_: False)
    town.writer.send_once()
    stored = rows(town, keys)
    assert [row.state for row in stored] == ["sent"] * 3
    raw = carrier_of(town, stored[0]).raw
    town.writer.close()
    monkeypatch.undo()
    town.writer = TransactionWriter(
        client=town.client,
        storage=town.storage,
        signer=town.relayer,
        clock=town.wall,
        settings=WriterSettings(),
    )
    with pytest.raises(UnexpectedStateError):
        town.writer.drop(keys[0])
    town.settle_down()
    held = rows(town, keys)
    assert [row.state for row in held] == ["final"] * 3
    assert carrier_of(town, held[0]).raw == raw


def test_a_batch_whose_block_is_reorganised_away_is_sent_again_with_its_members(town):
    three = forms(town)
    keys = queue(town, three)
    for _ in range(3):
        town.writer.send_once()
    before = rows(town, keys)
    assert [row.state for row in before] == ["final"] * 3
    town.client.request("anvil_reorg", [1, []])
    town.writer.send_once()
    assert [row.state for row in rows(town, keys)] == ["sent"] * 3
    for _ in range(3):
        town.writer.send_once()
    after = rows(town, keys)
    assert [row.state for row in after] == ["final"] * 3
    assert after[0].transaction_hash == before[0].transaction_hash
    assert after[0].block_hash != before[0].block_hash
    assert "NONE" not in stages(town, three)


def test_a_member_cannot_be_given_up_alone_and_the_whole_batch_can(town, monkeypatch):
    three = forms(town)
    keys = queue(town, three)
    monkeypatch.setattr(town.writer, "_broadcast", lambda *_: False)
    town.writer.send_once()
    with pytest.raises(UnexpectedStateError):
        town.writer.give_up(keys[1])
    carrier = carrier_of(town, rows(town, keys)[0])
    town.writer.give_up(carrier.key)
    monkeypatch.undo()
    for _ in range(4):
        town.writer.send_once()
    held = rows(town, keys)
    assert [row.state for row in held] == ["final"] * 3
    assert [row.carrier_id for row in held] == [None] * 3
    assert len({row.transaction_hash for row in held}) == 3
    assert "NONE" not in stages(town, three)


def test_a_node_that_cannot_simulate_takes_batches_by_estimate(town):
    town.writer.planner.can_simulate = False
    three, other = forms(town), forms(town)
    greedy = dataclasses.replace(other[1], freight=other[0].freight + 1)
    good = queue(town, three)
    town.settle_down()
    assert len({row.transaction_hash for row in rows(town, good)}) == 1
    bad = queue(town, [other[0], greedy])
    for _ in range(6):
        town.settle_down()
    town.writer.planner.can_simulate = True
    assert [row.state for row in rows(town, bad)] == ["final", "reverted"]


def test_neighbours_alone_are_merged_and_nothing_overtakes(town):
    from chain.intents import Intent
    from chain.merging import MOST
    from chain.ports import TransactionState

    who = names(town)
    form = forms(town)[0]
    data = WaybillRegistry.issue(
        form,
        town.sign(who[form.issuer], form, "WaybillRegistry"),
        town.sign(who[form.performer], form, "WaybillRegistry"),
    ).data

    def intent(number, function="issue", **more):
        values = dict.fromkeys(Intent.__dataclass_fields__) | {
            "id": number,
            "key": str(number),
            "state": TransactionState.QUEUED,
            "contract": "WaybillRegistry",
            "function": function,
            "data": data,
            "is_alone": False,
        }
        return Intent(**values | more)

    line = [
        intent(1), intent(2), intent(3, "amend"), intent(4), intent(5, is_alone=True), intent(6),
        *(intent(number) for number in range(7, 7 + MOST)),
    ]  # fmt: skip
    parcels = merge_queue(line)
    assert [one.id for parcel in parcels for one in parcel.members] == [one.id for one in line]
    assert [len(parcel.members) for parcel in parcels] == [2, 1, 1, 1, MOST, 1]
    assert [parcel.call is not None for parcel in parcels] == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]
