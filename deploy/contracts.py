"""Puts the contracts on a chain, in order, once: what is there already is left alone.

Every link between the contracts is fixed at construction, so addresses that come later are predicted
from the deployer's nonce. The creations go through the outbox like every other transaction: a crash
in the middle continues where it stopped, and a local chain that was lost gets the same bytes again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rlp
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from sqlmodel import col, func, select

from chain.abi import ContractCall, address, hash32
from chain.compiler import Artifact, compile_contracts
from chain.deployments import (
    Deployed,
    Deployment,
    find_deployment,
    require_versions,
    save_deployment,
)
from chain.errors import ChainError, NotFoundError, WrongChainError
from chain.ids import Address, Hash32
from chain.outbox import CREATION, SqlOutbox
from chain.ports import TransactionState
from chain.recovery import adopt_chain
from chain.tables import OutgoingTransactionRow, TransactionAttemptRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chain.client import ChainClient
    from chain.clock import Clock
    from chain.storage import Storage
    from chain.transactions import TransactionWriter

ROOT = Path(__file__).resolve().parents[1]

ORDER = (
    "AccessManager",
    "PartyRegistry",
    "WaybillRegistry",
    "DeliveryRegistry",
    "SettlementToken",
    "CreditFacility",
    "FreightAdvance",
    "FreightSettlement",
)
"""The order of creation; contracts/README.md has the table of constructor arguments."""

GAS = 14_000_000
"""Gas limit of one creation; what is not used costs nothing."""

ROUNDS = 400


class DeploymentFailedError(ChainError):
    """The contracts could not be put on chain."""

    code = "deployment_failed"


@dataclass(frozen=True, slots=True)
class ContractSettings:
    """What the constructors are told.

    Attributes:
        admin: account that sets attestors, custodian and roles; it gives this away later.
        registrar: account whose signature enrols parties.
        threshold: attestations a delivery needs.
        daily_cap_fen: most that may be minted on one day.
    """

    admin: Address
    registrar: Address
    threshold: int = 2
    daily_cap_fen: int = 10_000_000_000


def created_address(creator: Address, nonce: int) -> Address:
    """Where a contract created by an account's transaction will stand."""
    digest = keccak(rlp.encode([bytes.fromhex(creator[2:]), nonce]))
    return address("0x" + digest[12:].hex())


def constructor_arguments(
    made: Artifact, at: Mapping[str, Address], settings: ContractSettings
) -> bytes:
    """The coded arguments of a constructor, found by the names of its parameters.

    Args:
        made: the contract.
        at: where each contract will stand.
        settings: what is not an address of ours.

    Raises:
        DeploymentFailedError: a parameter this deployment has no value for.
    """
    known: dict[str, Any] = {
        "initialAdmin": settings.admin,
        "firstRegistrar": settings.registrar,
        "k": settings.threshold,
        "cap": settings.daily_cap_fen,
        "authority": at["AccessManager"],
        "parties": at["PartyRegistry"],
        "waybills": at["WaybillRegistry"],
        "deliveries": at["DeliveryRegistry"],
        "token": at["SettlementToken"],
        "facility": at["CreditFacility"],
        "advance": at["FreightAdvance"],
        "settlement": at["FreightSettlement"],
    }
    entry: dict[str, Any] = next(
        (e for e in made.abi if e["type"] == "constructor"), {"inputs": []}
    )
    try:
        values = [known[parameter["name"]] for parameter in entry["inputs"]]
    except KeyError as error:
        raise DeploymentFailedError(
            f"the constructor of {made.name} asks for {error}, which the deployment does not know"
        ) from error
    return encode([parameter["type"] for parameter in entry["inputs"]], values)


def deploy_contracts(
    *,
    client: ChainClient,
    storage: Storage,
    writer: TransactionWriter,
    deployer: Address,
    clock: Clock,
    settings: ContractSettings,
    folder: Path,
    root: Path = ROOT,
) -> Deployment:
    """Makes sure the contracts stand on the client's chain; gives the client the deployment.

    Args:
        client: the chain.
        storage: where the creations are kept as outgoing transactions.
        writer: the writer of the deployer's key; nobody else may run it meanwhile.
        deployer: the account of that key.
        clock: the machine's time, for the record.
        settings: what the constructors are told.
        folder: where ``<chain_id>.json`` is kept.
        root: the checkout whose contracts are compiled.

    Raises:
        DeploymentOutdatedError: the chain carries other versions.
        DeploymentFailedError: a creation failed; the message says which and why.
        WrongChainError: the record is of another chain.
    """
    artifacts = compile_contracts(root).artifacts
    recorded = find_deployment(folder, client.chain_id)
    if recorded is not None:
        require_versions(recorded, {name: artifacts[name].version for name in ORDER})
        client.use(recorded)
        _settle(writer)  # a local node that lost blocks gets them back before the look
        client.check_deployment()
        return recorded
    with storage.read() as session:
        begun = session.exec(
            select(OutgoingTransactionRow).where(
                col(OutgoingTransactionRow.key) == _key(client, ORDER[0], artifacts)
            )
        ).first()
    if begun is None:
        _queue_all(
            client=client,
            storage=storage,
            writer=writer,
            deployer=deployer,
            clock=clock,
            settings=settings,
            artifacts=artifacts,
        )
    _settle(writer)
    deployment = _read_back(client, storage, deployer, artifacts)
    save_deployment(folder, deployment)
    client.use(deployment)
    client.check_deployment()
    return deployment


def rebuild_local_chain(
    *, client: ChainClient, storage: Storage, writer: TransactionWriter, folder: Path
) -> Deployment:
    """Sends every stored transaction again, deployment included, on a local chain that began anew.

    Args:
        client: the new local chain.
        storage: where all that was ever sent is kept.
        writer: the writer of the one key that sent it, with control of the local node.
        folder: where ``<chain_id>.json`` is kept.

    Raises:
        NotFoundError: nothing was ever deployed here.
        WrongChainError: the contracts did not come out where they were.
    """
    recorded = find_deployment(folder, client.chain_id)
    if recorded is None:
        raise NotFoundError(f"there is no deployment of chain {client.chain_id} to rebuild")
    genesis = client.fetch_genesis_hash()
    adopt_chain(storage, client.chain_id, genesis)
    client.use(recorded)
    _settle(writer)
    made = replace(recorded, genesis_hash=genesis)
    client.use(made)
    client.check_deployment()
    save_deployment(folder, made)
    return made


def _key(client: ChainClient, name: str, artifacts: Mapping[str, Artifact]) -> str:
    return f"deploy:{client.chain_id}:{name}:{artifacts[name].version}"


def _queue_all(
    *,
    client: ChainClient,
    storage: Storage,
    writer: TransactionWriter,
    deployer: Address,
    clock: Clock,
    settings: ContractSettings,
    artifacts: Mapping[str, Artifact],
) -> None:
    _settle(writer)  # nothing may be queued before, or the nonces would shift
    with storage.write() as session:
        last = session.exec(
            select(func.max(TransactionAttemptRow.nonce)).where(
                col(TransactionAttemptRow.signer) == deployer
            )
        ).one()
        first = max(client.fetch_nonce(deployer), -1 if last is None else last + 1)
        at = {name: created_address(deployer, first + place) for place, name in enumerate(ORDER)}
        outbox = SqlOutbox(session, signer=deployer, clock=clock)
        for name in ORDER:
            made = artifacts[name]
            data = made.bytecode + constructor_arguments(made, at, settings)
            outbox.queue(
                ContractCall(name, CREATION, data, gas=GAS), key=_key(client, name, artifacts)
            )


def _settle(writer: TransactionWriter) -> None:
    for _ in range(ROUNDS):
        done = writer.send_once()
        if not done.is_writer:
            raise DeploymentFailedError("another process holds the deployer's key; stop it first")
        if done.problems:
            raise DeploymentFailedError(f"the node refuses a creation: {done.problems[0]}")
        if not done.waiting and not done.moved:
            return
    raise DeploymentFailedError("the chain does not take the transactions; is it making blocks?")


def _read_back(
    client: ChainClient, storage: Storage, deployer: Address, artifacts: Mapping[str, Artifact]
) -> Deployment:
    contracts: dict[str, Deployed] = {}
    first: int | None = None
    for place, name in enumerate(ORDER):
        with storage.read() as session:
            row = session.exec(
                select(OutgoingTransactionRow).where(
                    col(OutgoingTransactionRow.key) == _key(client, name, artifacts)
                )
            ).one()
        if row.state not in {TransactionState.MINED.value, TransactionState.FINAL.value}:
            raise DeploymentFailedError(f"{name} was not created: {row.message or row.state}")
        assert row.nonce is not None
        assert row.block_number is not None
        first = row.nonce if first is None else first
        if row.nonce != first + place:
            raise DeploymentFailedError(
                f"{name} was created at nonce {row.nonce}, not {first + place}: another transaction "
                "came between; deploy with a fresh key"
            )
        where = created_address(deployer, row.nonce)
        code = client.fetch_code(where)
        if not artifacts[name].is_code(code):
            raise WrongChainError(f"the code at {where} is not {name}", contract=name)
        contracts[name] = Deployed(
            address=where,
            block_number=row.block_number,
            transaction_hash=Hash32(row.transaction_hash or ""),
            version=artifacts[name].version,
            code_hash=hash32(keccak(code)),
        )
    return Deployment(client.chain_id, client.fetch_genesis_hash(), contracts)
