"""Where the contracts stand on one chain: read from and written to ``<chain_id>.json``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from chain.errors import ChainError, NotFoundError
from chain.ids import Address, Hash32

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class DeploymentUnreadableError(ChainError):
    """The record of the deployment cannot be read."""

    code = "deployment_unreadable"


class DeploymentOutdatedError(ChainError):
    """The chain carries other versions of the contracts than this program speaks to."""

    code = "deployment_outdated"


@dataclass(frozen=True, slots=True)
class Deployed:
    """One contract as it was put on chain.

    Attributes:
        version: version of its creation code (see ``Artifact.version``).
        code_hash: Keccak of the code that stands at the address.
    """

    address: Address
    block_number: int
    transaction_hash: Hash32
    version: str
    code_hash: Hash32


@dataclass(frozen=True, slots=True)
class Deployment:
    """All contracts of one chain, which is named by its id and its first block."""

    chain_id: int
    genesis_hash: Hash32
    contracts: dict[str, Deployed] = field(default_factory=dict)

    def address_of(self, contract: str) -> Address:
        """Where a contract stands.

        Raises:
            NotFoundError: it is not in this deployment.
        """
        if contract not in self.contracts:
            raise NotFoundError(f"{contract} is not deployed on chain {self.chain_id}")
        return self.contracts[contract].address

    def name_of(self, address: Address) -> str | None:
        """The contract at an address, if it is one of ours."""
        return next((n for n, d in self.contracts.items() if d.address == address), None)

    @property
    def first_block(self) -> int:
        """The block of the first contract: nothing of ours is before it."""
        return min((d.block_number for d in self.contracts.values()), default=0)


def require_versions(deployment: Deployment, expected: Mapping[str, str]) -> None:
    """Checks that every contract is of the version that this program speaks to.

    Raises:
        DeploymentOutdatedError: one is missing or of another version; it names the contract.
    """
    for name, version in expected.items():
        found = deployment.contracts.get(name)
        if found is None or found.version != version:
            raise DeploymentOutdatedError(
                f"{name} on chain {deployment.chain_id} is not the version this checkout speaks to; "
                "check out the old version, or start a fresh local chain with `make demo`",
                contract=name,
                on_chain=found.version if found else None,
                expected=version,
            )


def find_deployment(folder: Path, chain_id: int) -> Deployment | None:
    """The deployment recorded in a folder for a chain.

    Raises:
        DeploymentUnreadableError: there is a record, but it is damaged.
    """
    path = folder / f"{chain_id}.json"
    if not path.exists():
        return None
    try:
        body = json.loads(path.read_text("utf-8"))
        return Deployment(
            chain_id=int(body["chain_id"]),
            genesis_hash=Hash32(body["genesis_hash"]),
            contracts={
                name: Deployed(
                    address=Address(one["address"]),
                    block_number=int(one["block_number"]),
                    transaction_hash=Hash32(one["transaction_hash"]),
                    version=str(one["version"]),
                    code_hash=Hash32(one["code_hash"]),
                )
                for name, one in body["contracts"].items()
            },
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DeploymentUnreadableError(
            f"{path.name} is damaged ({error}); delete it and deploy again", file=path.name
        ) from error


def save_deployment(folder: Path, deployment: Deployment) -> Path:
    """Writes the record so that a crash leaves the old or the new one, never half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{deployment.chain_id}.json"
    draft = path.with_suffix(".draft")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(asdict(deployment), file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path
