"""The seven contracts on a real node."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from chain.abi import hash32
from chain.bindings.access_manager import AccessManager
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.structs import Waybill
from chain.bindings.waybill_registry import WaybillRegistry
from chain.deployments import DeploymentOutdatedError, DeploymentUnreadableError, find_deployment
from chain.errors import ContractRefusedError, WrongChainError
from chain.ids import ZERO32, Address, Hash32, PartyId, TripId, WaybillId
from chain.local_node import LocalNode
from chain.typed_data import struct_hash, typed_digest
from deploy.contracts import (
    ORDER,
    ContractSettings,
    created_address,
    deploy_contracts,
    rebuild_local_chain,
)
from deploy.node import LocalChain
from tests.integration.chain.till import FIRST_BLOCK, Desk


@pytest.fixture
def bare(chain, tmp_path):
    desk = Desk(chain, f"sqlite:///{tmp_path}/yundan.sqlite")
    yield desk
    desk.storage.close()


def deploy(desk, tmp_path):
    return deploy_contracts(
        client=desk.client,
        storage=desk.storage,
        writer=desk.writer,
        deployer=desk.signer.address,
        clock=desk.clock,
        settings=ContractSettings(admin=desk.signer.address, registrar=desk.signer.address),
        folder=tmp_path / "deployments",
    )


def test_all_contracts_stand_where_they_were_predicted_and_know_each_other(bare, tmp_path):
    made = deploy(bare, tmp_path)
    assert tuple(made.contracts) == ORDER
    for place, name in enumerate(ORDER):
        assert made.address_of(name) == created_address(bare.signer.address, place)
    assert bare.client.fetch(DeliveryRegistry.threshold()) == 2
    assert bare.client.fetch(PartyRegistry.registrar()) == bare.signer.address


def test_a_second_deployment_changes_nothing(bare, tmp_path):
    first = deploy(bare, tmp_path)
    head = bare.client.fetch_head()
    assert deploy(bare, tmp_path) == first
    assert bare.client.fetch_head() == head
    assert find_deployment(tmp_path / "deployments", bare.client.chain_id) == first


def test_a_deployment_that_was_cut_goes_on_where_it_stopped(bare, tmp_path, monkeypatch):
    rounds = []
    real = bare.writer.send_once

    def cut():
        rounds.append(1)
        if len(rounds) == 2:
            raise KeyboardInterrupt
        return real()

    monkeypatch.setattr(bare.writer, "_set", type(bare.settings)(in_flight=3))
    monkeypatch.setattr(bare.writer, "send_once", cut)
    with pytest.raises(KeyboardInterrupt):
        deploy(bare, tmp_path)
    monkeypatch.undo()
    made = deploy(bare, tmp_path)
    assert made.address_of(ORDER[-1]) == created_address(bare.signer.address, len(ORDER) - 1)


def test_other_code_at_an_address_is_refused(bare, tmp_path):
    made = deploy(bare, tmp_path)
    path = tmp_path / "deployments" / f"{bare.client.chain_id}.json"
    body = json.loads(path.read_text())
    body["contracts"]["PartyRegistry"]["address"] = made.address_of("WaybillRegistry")
    path.write_text(json.dumps(body))
    with pytest.raises(WrongChainError) as caught:
        deploy(bare, tmp_path)
    assert caught.value.facts["contract"] == "PartyRegistry"


def test_another_version_on_chain_is_told(bare, tmp_path):
    deploy(bare, tmp_path)
    path = tmp_path / "deployments" / f"{bare.client.chain_id}.json"
    path.write_text(path.read_text().replace('"version": "', '"version": "0'))
    with pytest.raises(DeploymentOutdatedError):
        deploy(bare, tmp_path)
    path.write_text("{")
    with pytest.raises(DeploymentUnreadableError):
        deploy(bare, tmp_path)


def test_contracts_answer_through_the_bindings(bare, tmp_path):
    deploy(bare, tmp_path)
    assert bare.client.fetch(WaybillRegistry.leaf_of(TripId(ZERO32))) == ZERO32
    accounts = bare.client.fetch_many([PartyRegistry.account_of(PartyId(n)) for n in (1, 2)])
    assert accounts[0] != accounts[1]


def test_python_and_solidity_hash_a_waybill_alike(bare, tmp_path):
    deploy(bare, tmp_path)
    one = Hash32("0x" + "5a" * 32)
    form = Waybill(
        parent=WaybillId(ZERO32),
        issuer=PartyId(1),
        performer=PartyId(2**64 - 1),
        consignee=PartyId(3),
        shipping_note=one,
        trip=TripId(one),
        vehicle=one,
        freight=2**128 - 1,
        quantity=5_000,
        load_from=1,
        deliver_by=2,
        term_days=30,
        plan=one,
        policy=one,
        document=one,
        expires=2**64 - 1,
        salt=one,
    )
    assert bare.client.fetch(WaybillRegistry.hash_waybill(form)) == struct_hash(form)
    signature = bare.signer.sign_typed_data(form, bare.client.domain("WaybillRegistry"))
    with pytest.raises(ContractRefusedError) as caught:
        bare.client.fetch(
            PartyRegistry.require_signature(
                PartyId(1),
                hash32(typed_digest(form, bare.client.domain("WaybillRegistry"))),
                signature,
            )
        )
    assert caught.value.facts["error"] in {"PartySignatureInvalid", "PartyUnknown"}


def test_a_chain_that_begins_anew_is_rebuilt_from_the_stored_bytes(tmp_path):
    url = f"sqlite:///{tmp_path}/yundan.sqlite"
    with LocalChain(tmp_path / "one", first_block_at=FIRST_BLOCK, keep_state=False) as old:
        desk = Desk(old, url)
        first = deploy(desk, tmp_path)
        later = FIRST_BLOCK + dt.timedelta(days=2)
        LocalNode(desk.client).advance_to(later)
        desk.queue(AccessManager.label_role(7, "auditors"), "label")
        desk.run()
        assert desk.find("label").state.value == "final"
        landed = desk.find("label").block_time
        desk.writer.close()
        desk.storage.close()
    with LocalChain(
        tmp_path / "two", first_block_at=FIRST_BLOCK + dt.timedelta(seconds=1), keep_state=False
    ) as new:
        desk = Desk(new, url, local=LocalNode(new.client()))
        with pytest.raises(WrongChainError, match="first block"):
            desk.writer.send_once()
        made = rebuild_local_chain(
            client=desk.client,
            storage=desk.storage,
            writer=desk.writer,
            folder=tmp_path / "deployments",
        )
        assert made.genesis_hash != first.genesis_hash
        assert {n: c.address for n, c in made.contracts.items()} == {
            n: c.address for n, c in first.contracts.items()
        }
        assert desk.find("label").state.value == "final"
        assert desk.find("label").block_time == landed
        assert find_deployment(tmp_path / "deployments", desk.client.chain_id) == made
        desk.storage.close()


def test_a_program_of_another_version_does_not_start():
    from chain.bindings.versions import VERSIONS
    from chain.deployments import Deployed, Deployment, require_versions

    def deployment(versions):
        return Deployment(
            5,
            ZERO32,
            {
                name: Deployed(Address("0x" + "11" * 20), 0, ZERO32, version, ZERO32)
                for name, version in versions.items()
            },
        )

    require_versions(deployment(VERSIONS), VERSIONS)
    for other in (VERSIONS | {"FreightAdvance": "0" * 16}, dict(list(VERSIONS.items())[1:])):
        with pytest.raises(DeploymentOutdatedError):
            require_versions(deployment(other), VERSIONS)
