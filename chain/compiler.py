"""Compiles the contracts with the settings forge uses; the only importer of solcx.

Settings come from foundry.toml and the compiler is the one npm pins, so forge and py-solc-x cannot
drift apart: tests/integration/chain compares their bytecode. Results are kept under ``cache/solc``
by the hash of everything that went in.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import solcx
import solcx.exceptions

from chain.errors import ChainError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CACHE_FORM = 1


class CompilationError(ChainError):
    """The contracts do not compile."""

    code = "compilation_failed"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One compiled contract.

    Attributes:
        source: path of its file from the root.
        abi: the ABI as solc gives it.
        bytecode: creation code without constructor arguments; empty for an interface.
        runtime: the code that will stand at its address, immutables zero.
        immutables: spans (start, length) of ``runtime`` that the constructor fills.
        notes: userdoc of the compiler.
    """

    name: str
    source: str
    abi: list[dict[str, Any]]
    bytecode: bytes
    runtime: bytes
    immutables: tuple[tuple[int, int], ...]
    notes: dict[str, Any]

    def is_code(self, deployed: bytes) -> bool:
        """True if what stands at an address is this contract, whatever its immutables."""
        if len(deployed) != len(self.runtime):
            return False
        blank = bytearray(deployed)
        for start, length in self.immutables:
            blank[start : start + length] = bytes(length)
        return bytes(blank) == self.runtime

    @property
    def version(self) -> str:
        """First 16 hex digits of the SHA-256 of the creation code: the contract's version."""
        return hashlib.sha256(self.bytecode).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Compilation:
    """Everything of one run of the compiler."""

    artifacts: Mapping[str, Artifact]
    trees: Mapping[str, dict[str, Any]]


def read_settings(root: Path) -> dict[str, Any]:
    """The ``settings`` of solc's standard JSON that forge derives from foundry.toml.

    Raises:
        CompilationError: foundry.toml is missing or has no default profile.
    """
    try:
        profile = tomllib.loads((root / "foundry.toml").read_text("utf-8"))["profile"]["default"]
    except (OSError, KeyError) as error:
        raise CompilationError(f"foundry.toml of the project cannot be read: {error}") from error
    return {
        "remappings": profile["remappings"],
        "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
        "metadata": {
            "bytecodeHash": profile["bytecode_hash"],
            "appendCBOR": profile["cbor_metadata"],
        },
        "evmVersion": profile["evm_version"],
        "viaIR": profile["via_ir"],
        "outputSelection": {
            "*": {
                "": ["ast"],
                "*": [
                    "abi",
                    "userdoc",
                    "evm.bytecode.object",
                    "evm.deployedBytecode.object",
                    "evm.deployedBytecode.immutableReferences",
                ],
            }
        },
    }


def compile_contracts(root: Path, folder: str = "contracts") -> Compilation:
    """Compiles every Solidity file under a folder of the project.

    Args:
        root: the project's root, where foundry.toml and node_modules are.
        folder: folder of sources from the root.

    Raises:
        CompilationError: with the compiler's own words.
    """
    sources = {
        path.relative_to(root).as_posix(): {"content": path.read_text("utf-8")}
        for path in sorted((root / folder).rglob("*.sol"))
    }
    if not sources:
        raise CompilationError(f"there is no Solidity file under {folder}")
    order = {"language": "Solidity", "sources": sources, "settings": read_settings(root)}
    kept = root / "cache" / "solc" / f"{_fingerprint(root, order)}.json"
    if kept.exists():
        output = json.loads(kept.read_text("utf-8"))
    else:
        try:
            output = solcx.compile_standard(order, solc_binary=root / "chain" / "solc-npm")
        except solcx.exceptions.SolcError as error:
            raise CompilationError(str(error)) from error
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{id(output)}.draft")
        draft.write_text(json.dumps(output), "utf-8")
        draft.replace(kept)
    return _understand(output)


def _fingerprint(root: Path, order: dict[str, Any]) -> str:
    # The lock file stands for the imported packages and for the compiler itself.
    lock = (root / "package-lock.json").read_bytes()
    text = json.dumps([CACHE_FORM, order], sort_keys=True).encode()
    return hashlib.sha256(lock + text).hexdigest()


def _understand(output: dict[str, Any]) -> Compilation:
    artifacts: dict[str, Artifact] = {}
    for source, contracts in output.get("contracts", {}).items():
        for name, body in contracts.items():
            if name in artifacts and not source.startswith("contracts/"):
                continue  # ours go before a library's of the same name
            code = body["evm"]
            spans = code["deployedBytecode"].get("immutableReferences", {})
            artifacts[name] = Artifact(
                name=name,
                source=source,
                abi=body["abi"],
                bytecode=bytes.fromhex(code["bytecode"]["object"]),
                runtime=bytes.fromhex(code["deployedBytecode"]["object"]),
                immutables=tuple(
                    (span["start"], span["length"]) for found in spans.values() for span in found
                ),
                notes=body.get("userdoc", {}),
            )
    trees = {path: body["ast"] for path, body in output["sources"].items()}
    return Compilation(artifacts, trees)
