"""EIP-712: the one way a party ever signs.

There is one definition, the Solidity struct: the bindings carry its type string, derived from the
compiler's syntax tree, and the contracts' own constants are compared with it by a test. A signature
binds chain id and contract through the domain. Contracts may be signers too (ERC-1271): those
signatures are checked on chain by PartyRegistry; ``recover`` here knows keys only.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_keys.exceptions import BadSignature
from eth_utils.address import is_checksum_address
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from chain.abi import address, hash32
from chain.errors import InvalidValueError, SignatureRefusedError

if TYPE_CHECKING:
    from chain.abi import Struct
    from chain.ids import Address, Hash32
    from chain.ports import Domain

HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""The largest s of a canonical signature: half the order of secp256k1."""

DOMAIN_FIELDS = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]


def struct_types(eip712: str) -> dict[str, list[dict[str, str]]]:
    """The ``types`` of a type string, the primary type first.

    >>> struct_types("Cancellation(bytes32 waybill,uint32 version)")
    {'Cancellation': [{'name': 'waybill', 'type': 'bytes32'}, {'name': 'version', 'type': 'uint32'}]}
    """
    types: dict[str, list[dict[str, str]]] = {}
    for name, members in re.findall(r"(\w+)\(([^)]*)\)", eip712):
        pairs = [member.split(" ") for member in members.split(",")]
        types[name] = [{"name": field, "type": kind} for kind, field in pairs]
    return types


def typed_message(struct: Struct, domain: Domain) -> dict[str, Any]:
    """The whole message as ``eth_signTypedData_v4`` of a wallet takes it.

    Integers are decimal strings, since a wallet's JSON numbers stop at 2^53; bytes are 0x hex.
    """
    types = struct_types(struct.EIP712)
    primary = next(iter(types))
    return {
        "types": {"EIP712Domain": DOMAIN_FIELDS, **types},
        "primaryType": primary,
        "domain": {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.verifying_contract,
        },
        "message": _members(struct, types, primary, _wallet_value),
    }


def struct_hash(struct: Struct) -> Hash32:
    """``hashStruct`` of the standard: the id of waybills, advances and lines.

    Raises:
        InvalidValueError: a field is not exactly of its type; it names the field.
    """
    return hash32(bytes(_signable(struct, None).body))


def type_hash(struct: type[Struct]) -> bytes:
    """Keccak of the type string: the TYPEHASH constant of the contracts."""
    return keccak(text=struct.EIP712)


def typed_digest(struct: Struct, domain: Domain) -> bytes:
    """The 32 bytes that are signed."""
    message = _signable(struct, domain)
    return keccak(b"\x19\x01" + message.header + message.body)


def recover(struct: Struct, domain: Domain, signature: bytes) -> Address:
    """The account whose key made the signature.

    Raises:
        SignatureRefusedError: not 65 bytes, s in the upper half (a malleable twin), or nobody's.
    """
    return recover_digest(typed_digest(struct, domain), signature)


def recover_digest(digest: bytes, signature: bytes) -> Address:
    """The account whose key signed the digest.

    Raises:
        SignatureRefusedError: not 65 bytes, s in the upper half (a malleable twin), or nobody's.
    """
    if len(signature) != 65:
        raise SignatureRefusedError(
            "a signature has 65 bytes: r, s, v", field="signature", given=len(signature)
        )
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        raise SignatureRefusedError(
            "the signature is not canonical: s lies in the upper half", field="signature"
        )
    if signature[64] not in {27, 28}:
        raise SignatureRefusedError(
            "the last byte of a signature is 27 or 28", field="signature", given=signature[64]
        )
    try:
        return address(Account._recover_hash(digest, signature=signature))  # noqa: SLF001  the public door takes messages, not digests
    except (BadSignature, ValidationError, ValueError) as error:
        raise SignatureRefusedError("the signature is nobody's", field="signature") from error


def _signable(struct: Struct, domain: Domain | None) -> SignableMessage:
    """The coded form; the same one is hashed several times on its way, so the last ones are kept."""
    return _coded(_Exactly(struct), domain)


class _Exactly:
    """A struct that equals another only if every value is of the same type as well: True is not 1."""

    __slots__ = ("_key", "struct")

    def __init__(self, struct: Struct) -> None:
        self.struct = struct
        self._key = _with_types(struct)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Exactly) and self._key == other._key


def _with_types(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return type(value), *(_with_types(getattr(value, field.name)) for field in fields)
    if isinstance(value, list | tuple):
        return type(value), *map(_with_types, value)
    return type(value), repr(value) if type(value).__hash__ is None else value


@functools.lru_cache(maxsize=1024)
def _coded(exactly: _Exactly, domain: Domain | None) -> SignableMessage:
    struct = exactly.struct
    types = struct_types(struct.EIP712)
    primary = next(iter(types))
    given: dict[str, Any] = {}
    if domain is not None:
        given = {
            "name": domain.name,
            "version": domain.version,
            "chainId": domain.chain_id,
            "verifyingContract": domain.verifying_contract,
        }
    message = {
        "types": {"EIP712Domain": DOMAIN_FIELDS if domain else [], **types},
        "primaryType": primary,
        "domain": given,
        "message": _members(struct, types, primary, _exact_value),
    }
    return encode_typed_data(full_message=message)


def _members(struct: Any, types: dict[str, Any], name: str, convert: Any) -> dict[str, Any]:
    """The struct's values under their Solidity names; fields stand in the same order in both."""
    fields = dataclasses.fields(struct)
    values = {}
    for field, member in zip(fields, types[name], strict=True):
        try:
            value = _value(getattr(struct, field.name), member["type"], types, convert)
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidValueError(
                f"{name}.{member['name']} is no {member['type']}: {error}", field=field.name
            ) from error
        values[member["name"]] = value
    return values


def _value(value: Any, kind: str, types: dict[str, Any], convert: Any) -> Any:
    if kind.endswith("]"):
        item = kind[: kind.rindex("[")]
        return [_value(one, item, types, convert) for one in value]
    if kind in types:
        return _members(value, types, kind, convert)
    return convert(value, kind)


def _exact_value(value: Any, kind: str) -> Any:
    """The value, if it is exactly of its type: encoders pad and cut where we would rather not sign.

    Raises:
        ValueError: it is not.
    """
    if kind.startswith("bytes") and kind != "bytes":
        raw = value if isinstance(value, bytes) else bytes.fromhex(value.removeprefix("0x"))
        if len(raw) != int(kind.removeprefix("bytes")):
            raise ValueError(f"{len(raw)} bytes given")
        return raw
    if "int" in kind:
        bits = int(kind.removeprefix("u").removeprefix("int"))
        low, high = (0, 2**bits) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
            raise ValueError(f"{value} given")
        return int(value)
    if kind == "address" and not is_checksum_address(value):
        raise ValueError(f"{value} given")
    if kind == "bool" and not isinstance(value, bool):
        raise ValueError(f"{value} given")
    return value


def _wallet_value(value: Any, kind: str) -> Any:
    exact = _exact_value(value, kind)
    if isinstance(exact, bytes):
        return "0x" + exact.hex()
    return str(exact) if "int" in kind else exact
