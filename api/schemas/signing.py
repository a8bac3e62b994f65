"""Forms to sign: the server prepares them, the party signs them, and what comes back is read strictly."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, TypeVar

from pydantic import Field

from api.schemas.values import Given, Shown, SignatureText
from chain.abi import Struct
from chain.errors import InvalidValueError
from chain.ports import Domain
from chain.typed_data import struct_types, typed_message

S = TypeVar("S", bound=Struct)

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,77})", re.ASCII)
_HEX = re.compile(r"0x([0-9a-fA-F]{2})*", re.ASCII)


class TypedData(Shown):
    """A message as ``eth_signTypedData_v4`` of a wallet takes it; integers are decimal text."""

    types: dict[str, list[dict[str, str]]]
    primary_type: str = Field(serialization_alias="primaryType")
    domain: dict[str, Any]
    message: dict[str, Any]

    @classmethod
    def of(cls, form: Struct, domain: Domain) -> TypedData:
        """The message of a form under a contract's domain."""
        whole = typed_message(form, domain)
        return cls(
            types=whole["types"],
            primary_type=whole["primaryType"],
            domain=whole["domain"],
            message=whole["message"],
        )


class SignedForm(Given):
    """A form and the signature of the party who agrees to it."""

    message: dict[str, Any] = Field(description="the `message` of the typed data, as it was signed")
    signature: SignatureText

    @property
    def signature_bytes(self) -> bytes:
        """The signature."""
        return bytes.fromhex(self.signature[2:])


def read_message(form: type[S], message: dict[str, Any], *, field: str = "message") -> S:
    """A form from its message; every member must be there, of its type and range, and no other.

    Raises:
        InvalidValueError: names the member and the rule.
    """
    types = struct_types(form.EIP712)
    return form.from_abi(_members(message, next(iter(types)), types, field))


def _members(value: Any, kind: str, types: dict[str, Any], field: str) -> tuple[Any, ...]:
    if not isinstance(value, dict):
        raise InvalidValueError(f"{field} is an object", field=field)
    wanted = [member["name"] for member in types[kind]]
    unknown = sorted(set(value) - set(wanted))
    if unknown:
        raise InvalidValueError(
            f"{kind} has no member {unknown[0]}", field=f"{field}.{unknown[0]}", members=wanted
        )
    for name in wanted:
        if name not in value:
            raise InvalidValueError(f"{kind} needs {name}", field=f"{field}.{name}")
    return tuple(
        _value(value[member["name"]], member["type"], types, f"{field}.{member['name']}")
        for member in types[kind]
    )


def _value(value: Any, kind: str, types: dict[str, Any], field: str) -> Any:
    if kind.endswith("]"):
        if not isinstance(value, list) or len(value) > 100:
            raise InvalidValueError(f"{field} is a list of at most 100", field=field)
        item = kind[: kind.rindex("[")]
        return [_value(one, item, types, f"{field}[{at}]") for at, one in enumerate(value)]
    if kind in types:
        return _members(value, kind, types, field)
    if kind == "bool":
        if not isinstance(value, bool):
            raise InvalidValueError(f"{field} is true or false", field=field)
        return value
    if kind == "string":
        if not isinstance(value, str):
            raise InvalidValueError(f"{field} is a text", field=field)
        return value
    if kind.startswith(("uint", "int")):
        return _integer(value, kind, field)
    size = 20 if kind == "address" else int(kind.removeprefix("bytes") or 0)
    if (
        not isinstance(value, str)
        or not _HEX.fullmatch(value)
        or (size and len(value) != 2 + 2 * size)
    ):
        raise InvalidValueError(f"{field} is {kind}: 0x and {2 * size} hex digits", field=field)
    return value if kind == "address" else bytes.fromhex(value[2:])


def _integer(value: Any, kind: str, field: str) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValueError(f"{field} is a whole number ({kind})", field=field)
    bits = int(kind.lstrip("uint"))
    least, most = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if not least <= value <= most:
        raise InvalidValueError(f"{field} lies between {least} and {most} ({kind})", field=field)
    return value


def member_names(form: type[Struct]) -> dict[str, str]:
    """The Solidity name of each field of a form."""
    types = struct_types(form.EIP712)
    wanted = types[next(iter(types))]
    return {
        f.name: member["name"] for f, member in zip(dataclasses.fields(form), wanted, strict=True)
    }
