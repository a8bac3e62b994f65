"""What the generated bindings are made of: a call to send, a read to ask, an event, a refusal.

Pure: ABI coding by eth_abi, never a wire. A binding names its contract; the address is found in the
deployment by whoever sends, so that a call can be built (and tested) with no chain at all.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from eth_utils.address import to_checksum_address

from chain.ids import Address, Hash32
from chain.keccak import keccak

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")
E_co = TypeVar("E_co", bound="Event", covariant=True)


@dataclass(frozen=True, slots=True)
class ContractCall:
    """One function call that changes state, ready to be sent by anybody.

    Attributes:
        contract: the contract's name in the deployment.
        function: the function's name, for people.
        data: selector and arguments, ABI coded.
        to: the address, where it is not the deployment's contract of that name.
        gas: the gas limit, where the caller knows it; else it is found by simulation before signing.
    """

    contract: str
    function: str
    data: bytes
    to: Address | None = None
    gas: int | None = None

    def at(self, address: Address) -> ContractCall:
        """The same call to a contract that stands elsewhere than the deployment says."""
        return dataclasses.replace(self, to=address)

    def with_gas(self, gas: int) -> ContractCall:
        """The same call with a gas limit given beforehand (it then skips simulation)."""
        return dataclasses.replace(self, gas=gas)


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """One question to a contract and how to understand the answer."""

    contract: str
    function: str
    data: bytes
    decode: Callable[[bytes], T]
    to: Address | None = None

    def at(self, address: Address) -> Read[T]:
        """The same question to a contract that stands elsewhere than the deployment says."""
        return dataclasses.replace(self, to=address)


@dataclass(frozen=True, slots=True)
class Event:
    """Base of the generated events; the subclass has a field for each argument."""

    SIGNATURE: ClassVar[str] = ""
    TOPIC: ClassVar[bytes] = b""

    @classmethod
    def decode(cls, topics: Sequence[bytes], data: bytes) -> Self:
        """The event from a log's topics (the first is ``TOPIC``) and data.

        Raises:
            ValueError: the log is of another event.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Occurred(Generic[E_co]):
    """An event and where it stands on the chain; what every handler is given.

    Attributes:
        event: the decoded event.
        contract: name of the contract that emitted it, in the deployment.
        address: the contract that emitted it.
        at: the block's time, UTC.
    """

    event: E_co
    contract: str
    address: Address
    at: dt.datetime
    block_number: int
    block_hash: Hash32
    transaction_hash: Hash32
    log_index: int


@dataclass(frozen=True, slots=True)
class Revert:
    """Base of the generated custom errors; the subclass has a field for each argument."""

    SIGNATURE: ClassVar[str] = ""
    SELECTOR: ClassVar[bytes] = b""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The error from revert data (selector first).

        Raises:
            ValueError: the data is of another error.
        """
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The error's name in Solidity."""
        return type(self).__name__

    def arguments(self) -> Mapping[str, Any]:
        """The arguments by name, as JSON values (numbers above 2^53 as decimal strings)."""
        return {f.name: json_value(getattr(self, f.name)) for f in dataclasses.fields(self)}


@dataclass(frozen=True, slots=True)
class Struct:
    """Base of the generated structs.

    ``EIP712`` is the EIP-712 type string, derived from the Solidity definition itself, with the
    strings of the structs it refers to appended in the order of the standard.
    """

    EIP712: ClassVar[str] = ""

    def to_abi(self) -> tuple[Any, ...]:
        """The values in ABI order, as eth_abi takes them."""
        raise NotImplementedError

    @classmethod
    def from_abi(cls, values: Sequence[Any]) -> Self:
        """The struct from what eth_abi gives."""
        raise NotImplementedError


def json_value(value: Any) -> Any:
    """A decoded value as JSON can carry it: bytes as 0x hex, integers past 2^53 as text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else str(int(value))
    if dataclasses.is_dataclass(value):
        return {f.name: json_value(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return [json_value(item) for item in value]


def selector(signature: str) -> bytes:
    """The first four bytes of the Keccak hash of a canonical signature."""
    return keccak(signature.encode())[:4]


def hash32(value: bytes) -> Hash32:
    """32 bytes in their text form."""
    return Hash32("0x" + value.hex())


@functools.lru_cache(maxsize=4096)
def address(value: str) -> Address:
    """An address in its checksummed form (EIP-55)."""
    return Address(to_checksum_address(value))


def bytes32(value: str) -> bytes:
    """The 32 bytes of a text form.

    Raises:
        ValueError: it is not 0x and 64 hex digits.
    """
    raw = bytes.fromhex(value.removeprefix("0x"))
    if len(raw) != 32:
        raise ValueError(f"32 bytes wanted, {len(raw)} given")
    return raw
