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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coincurve import PublicKey
from eth_utils.address import is_checksum_address

from chain.abi import address, hash32
from chain.errors import InvalidValueError, SignatureRefusedError
from chain.keccak import keccak

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
    return hash32(_hashed(struct))


def type_hash(struct: type[Struct]) -> bytes:
    """Keccak of the type string: the TYPEHASH constant of the contracts."""
    return keccak(struct.EIP712.encode())


def typed_digest(struct: Struct, domain: Domain) -> bytes:
    """The 32 bytes that are signed."""
    return keccak(b"\x19\x01" + _separator(domain) + _hashed(struct))


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
        compact = signature[:64] + bytes([signature[64] - 27])
        found = PublicKey.from_signature_and_message(compact, digest, hasher=None)
    except ValueError as error:
        raise SignatureRefusedError("the signature is nobody's", field="signature") from error
    return account_of_key(found)


def account_of_key(key: PublicKey) -> Address:
    """The account of a public key: the end of the hash of its two coordinates."""
    return address("0x" + keccak(key.format(compressed=False)[1:])[-20:].hex())


def _hashed(struct: Struct) -> bytes:
    forms = _forms(struct.EIP712)
    return _hash_struct(struct, forms, next(iter(forms)))


@functools.lru_cache(maxsize=256)
def _separator(domain: Domain) -> bytes:
    """``domainSeparator`` of the standard."""
    kind = ",".join(f"{one['type']} {one['name']}" for one in DOMAIN_FIELDS)
    return keccak(
        keccak(f"EIP712Domain({kind})".encode())
        + keccak(domain.name.encode())
        + keccak(domain.version.encode())
        + domain.chain_id.to_bytes(32, "big")
        + bytes(12)
        + bytes.fromhex(domain.verifying_contract[2:])
    )


@dataclass(frozen=True, slots=True)
class _Form:
    """How a type is hashed: its type hash, and the names and types of its members."""

    type_hash: bytes
    members: tuple[tuple[str, str], ...]


@functools.cache
def _forms(eip712: str) -> dict[str, _Form]:
    """The forms of a type string, worked out once: the primary type first."""
    types = struct_types(eip712)
    strings = dict(re.findall(r"(\w+)(\([^)]*\))", eip712))
    found = {}
    for name, members in types.items():
        used: set[str] = set()
        wanted = {name}
        while wanted:
            used |= wanted
            kinds = {one["type"].split("[")[0] for user in wanted for one in types[user]}
            wanted = (kinds & types.keys()) - used
        whole = "".join(one + strings[one] for one in (name, *sorted(used - {name})))
        pairs = tuple((one["name"], one["type"]) for one in members)
        found[name] = _Form(keccak(whole.encode()), pairs)
    return found


def _hash_struct(struct: Any, forms: dict[str, _Form], name: str) -> bytes:
    """``hashStruct`` of the standard (eth_account's own does the same ten times slower; a test compares)."""
    form = forms[name]
    parts = [form.type_hash]
    for field, (member, kind) in zip(dataclasses.fields(struct), form.members, strict=True):
        try:
            parts.append(_word(getattr(struct, field.name), kind, forms))
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidValueError(
                f"{name}.{member} is no {kind}: {error}", field=field.name
            ) from error
    return keccak(b"".join(parts))


def _word(value: Any, kind: str, forms: dict[str, _Form]) -> bytes:
    """The 32 bytes that stand for a value."""
    if kind.endswith("]"):
        inner = kind[: kind.rindex("[")]
        return keccak(b"".join([_word(one, inner, forms) for one in value]))
    if kind in forms:
        return _hash_struct(value, forms, kind)
    exact = _exact_value(value, kind)
    if isinstance(exact, bytes):
        return keccak(exact) if kind == "bytes" else exact.ljust(32, b"\x00")
    if isinstance(exact, int):
        return exact.to_bytes(32, "big", signed=kind[0] == "i")
    if kind == "address":
        return bytes(12) + bytes.fromhex(exact[2:])
    return keccak(exact.encode())


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
    if kind == "address" and not _is_checksummed(value):
        raise ValueError(f"{value} given")
    if kind == "bool" and not isinstance(value, bool):
        raise ValueError(f"{value} given")
    return value


@functools.lru_cache(maxsize=4096)
def _is_checksummed(value: str) -> bool:
    """Whether it is an address in the form of EIP-55; the same ones come again and again."""
    return bool(is_checksum_address(value))


def _wallet_value(value: Any, kind: str) -> Any:
    exact = _exact_value(value, kind)
    if isinstance(exact, bytes):
        return "0x" + exact.hex()
    return str(exact) if "int" in kind else exact
