"""What a contract says when it refuses: revert data → the named error with its arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from chain.bindings.errors import ERRORS
from chain.errors import ContractRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")
PANICS = {
    0x01: "an assertion failed",
    0x11: "arithmetic went over or under its range",
    0x12: "division by zero",
    0x21: "a number is outside its enumeration",
    0x32: "an index is outside its array",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refusal, understood.

    Attributes:
        name: the error's name in Solidity; "Error" for a bare reason, "" if nothing was said.
        facts: its arguments by name, JSON values.
        text: one line for people.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    def as_error(self, what: str) -> ContractRefusedError:
        """The refusal as an error to raise; ``what`` names the call."""
        return ContractRefusedError(
            f"{what} was refused: {self.text}", error=self.name, arguments=dict(self.facts)
        )


def understand_revert(data: bytes) -> Refusal:
    """Decodes revert data; what is unknown is told as hex, never guessed."""
    if not data:
        return Refusal("", text="the call failed without saying why (out of gas, or no such code)")
    chosen = data[:4]
    try:
        if known := ERRORS.get(chosen):
            error = known.decode(data)
            facts = error.arguments()
            inner = ", ".join(f"{k}={_shown(v)}" for k, v in facts.items())
            return Refusal(error.name, facts, f"{error.name}({inner})")
        if chosen == ERROR_STRING:
            reason = decode(["string"], data[4:])[0]
            return Refusal("Error", {"reason": reason}, reason)
        if chosen == PANIC:
            code = decode(["uint256"], data[4:])[0]
            text = PANICS.get(code, f"panic {code:#x}")
            return Refusal("Panic", {"code": code}, text)
    except (DecodingError, ValueError):
        pass  # told as hex below
    return Refusal("Unknown", {"data": "0x" + data.hex()}, f"an unknown error 0x{data.hex()}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}={_shown(v)}" for k, v in value.items()) + "}"
    return str(value)
