"""Makes what a QBFT network of Hyperledger Besu needs: ``python -m deploy.network.genesis FOLDER``.

Node keys, the first block with its validators, the list of nodes that may connect. Gas costs nothing
(no base fee, no minimum price), blocks are final at once. Not run in this project's own tests: no Besu
can be installed there; the form of ``extraData`` is compared with Besu's published example.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eth_keys.datatypes import PrivateKey
from rlp.codec import encode_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

CHAIN_ID = 20_260_127
SUBNET = "172.29.7"
"""As in compose.yaml: Besu names its peers by address."""

PORT = 30_303
MIX_HASH = "0x63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365"
"""The value by which Besu knows a block of a Byzantine fault tolerant network."""


@dataclass(frozen=True, slots=True)
class Validator:
    """One validator: its place in the network and its key."""

    number: int
    key: PrivateKey

    @property
    def address(self) -> bytes:
        """The account that signs blocks."""
        return bytes(self.key.public_key.to_canonical_address())

    @property
    def enode(self) -> str:
        """Where the others find it."""
        public = self.key.public_key.to_hex().removeprefix("0x")
        return f"enode://{public}@{SUBNET}.{10 + self.number}:{PORT}"


def extra_data(validators: Sequence[bytes]) -> str:
    """``extraData`` of the first block: RLP of vanity, validators, no vote, round 0, no seals."""
    raw: bytes = encode_raw([bytes(32), list(validators), [], b"", []])
    return "0x" + raw.hex()


def genesis(validators: Sequence[bytes], *, chain_id: int = CHAIN_ID) -> dict[str, Any]:
    """The first block and the rules: London without a base fee, blocks every two seconds."""
    return {
        "config": {
            "chainId": chain_id,
            "berlinBlock": 0,
            "londonBlock": 0,
            "zeroBaseFee": True,
            "qbft": {
                "blockperiodseconds": 2,
                "epochlength": 30_000,
                "requesttimeoutseconds": 4,
            },
        },
        "nonce": "0x0",
        "timestamp": "0x0",
        "gasLimit": hex(100_000_000),
        "difficulty": "0x1",
        "mixHash": MIX_HASH,
        "coinbase": "0x" + "00" * 20,
        "alloc": {},
        "extraData": extra_data(validators),
    }


def write_network(folder: Path, count: int = 4) -> list[Validator]:
    """Writes keys, first block and permissions; keys that are there are kept.

    Args:
        folder: created if need be; keys in it are for their owner's eyes only.
        count: validators; four bear one that fails or lies.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    validators = []
    for number in range(1, count + 1):
        home = folder / f"node{number}"
        home.mkdir(exist_ok=True, mode=0o700)
        path = home / "key"
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write("0x" + os.urandom(32).hex())
        secret = bytes.fromhex(path.read_text("utf-8").strip().removeprefix("0x"))
        validators.append(Validator(number, PrivateKey(secret)))
    nodes = [one.enode for one in validators]
    first = genesis(sorted(one.address for one in validators))
    (folder / "genesis.json").write_text(json.dumps(first, indent=2) + "\n", "utf-8")
    (folder / "static-nodes.json").write_text(json.dumps(nodes, indent=2) + "\n", "utf-8")
    allowed = ",\n".join(f'  "{node}"' for node in nodes)
    (folder / "permissions.toml").write_text(f"nodes-allowlist=[\n{allowed}\n]\n", "utf-8")
    return validators


if __name__ == "__main__":
    made = write_network(Path(sys.argv[1] if len(sys.argv) > 1 else "var/network"))
    for validator in made:
        print(f"node{validator.number} 0x{validator.address.hex()} {validator.enode}")
