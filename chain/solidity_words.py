"""The words of Solidity and those of Python: how each type is written, coded and decoded in bindings."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import chain.ids
from chain.compiler import CompilationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain.compiler import Compilation

PACKAGE = "chain.bindings"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one Solidity type looks in Python.

    Attributes:
        abi: canonical ABI type, tuples spelled out.
        eip712: its name in an EIP-712 type string.
        python: the annotation.
        encode: expression in Python → expression for eth_abi.
        decode: expression from eth_abi → expression in Python.
        names: names the annotation and expressions need, as (module, name).
        hashed: true where a log's topic holds only a hash of the value.
    """

    abi: str
    eip712: str
    python: str
    encode: Callable[[str], str]
    decode: Callable[[str], str]
    names: frozenset[tuple[str, str]] = frozenset()
    hashed: bool = False


@dataclass(slots=True)
class Words:
    """The types the sources define, by name, and which the ABI of a contract speaks of."""

    structs: dict[str, dict[str, Any]] = field(default_factory=dict)
    enums: dict[str, dict[str, Any]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def kind(self, spelled: str) -> Kind:
        """The kind of a type as the compiler spells it (``struct IFoo.Bar[]``, ``PartyId``).

        Raises:
            CompilationError: a type that has no form in an ABI.
        """
        if array := re.fullmatch(r"(.+)\[(\d*)\]", spelled):
            return _array(self.kind(array[1]), array[2])
        name = spelled.rsplit(maxsplit=1)[-1].rsplit(".", 1)[-1]
        if spelled.startswith("struct "):
            return _struct(name, self._tuple_of(name))
        if spelled.startswith("enum "):
            return Kind(
                "uint8",
                "uint8",
                name,
                lambda x: f"int({x})",
                lambda x: f"{name}({x})",
                frozenset({(f"{PACKAGE}.enums", name)}),
            )
        if name in self.values:
            return _named(name, elementary(self.values[name]))
        if spelled.startswith("contract ") or spelled == "address payable":
            return elementary("address")
        return elementary(spelled)

    def members(self, struct: str) -> list[tuple[str, Kind]]:
        """A struct's fields in order.

        Raises:
            CompilationError: an ABI speaks of a struct that only its contract knows.
        """
        if struct not in self.structs:
            raise CompilationError(f"struct {struct} of an ABI is only known inside its contract")
        return [
            (m["name"], self.kind(m["typeDescriptions"]["typeString"]))
            for m in self.structs[struct]["members"]
        ]

    def eip712(self, struct: str) -> str:
        """The type string of EIP-712, referenced structs appended by name."""
        met: dict[str, str] = {}

        def walk(name: str) -> None:
            met[name] = ""  # a struct cannot hold itself, but two fields may hold the same
            members = self.members(name)
            met[name] = f"{name}({','.join(f'{k.eip712} {n}' for n, k in members)})"
            for _, kind in members:
                inner = re.sub(r"(\[\d*\])+$", "", kind.eip712)
                if inner in self.structs and inner not in met:
                    walk(inner)

        walk(struct)
        return met.pop(struct) + "".join(met[name] for name in sorted(met))

    def _tuple_of(self, struct: str) -> str:
        return f"({','.join(kind.abi for _, kind in self.members(struct))})"


def elementary(name: str) -> Kind:
    """A type that the language itself has."""
    module = "chain.abi"
    if name == "address":
        return Kind(
            name,
            name,
            "Address",
            lambda x: x,
            lambda x: f"address({x})",
            frozenset({("chain.ids", "Address"), (module, "address")}),
        )
    if name == "bytes32":
        return Kind(
            name,
            name,
            "Hash32",
            lambda x: f"bytes32({x})",
            lambda x: f"hash32({x})",
            frozenset({("chain.ids", "Hash32"), (module, "bytes32"), (module, "hash32")}),
        )
    if re.fullmatch(r"u?int\d+", name):
        return Kind(name, name, "int", lambda x: x, lambda x: x)
    if name == "bool":
        return Kind(name, name, "bool", lambda x: x, lambda x: x)
    if re.fullmatch(r"bytes\d*", name):
        return Kind(name, name, "bytes", lambda x: x, lambda x: x, hashed=name == "bytes")
    if name == "string":
        return Kind(name, name, "str", lambda x: x, lambda x: x, hashed=True)
    raise CompilationError(f"the type {name} has no form in an ABI")


def _named(name: str, under: Kind) -> Kind:
    home = "chain.ids" if hasattr(chain.ids, name) else f"{PACKAGE}.values"
    names = {(m, n) for m, n in under.names if n not in {"Hash32", "Address"}}
    return Kind(
        under.abi,
        under.eip712,
        name,
        under.encode,
        lambda x: f"{name}({under.decode(x)})",
        frozenset(names | {(home, name)}),
    )


def _struct(name: str, abi: str) -> Kind:
    return Kind(
        abi,
        name,
        name,
        lambda x: f"{x}.to_abi()",
        lambda x: f"{name}.from_abi({x})",
        frozenset({(f"{PACKAGE}.structs", name)}),
        hashed=True,
    )


def _array(item: Kind, length: str) -> Kind:
    def wrap(convert: Callable[[str], str]) -> Callable[[str], str]:
        return lambda x: x if convert("x") == "x" else f"[{convert('x')} for x in {x}]"

    return Kind(
        f"{item.abi}[{length}]",
        f"{item.eip712}[{length}]",
        f"tuple[{item.python}, ...]",
        wrap(item.encode),
        lambda x: (
            f"tuple({wrap(item.decode)(x)})".replace("tuple([", "tuple(").replace("])", ")")
            if item.decode("x") != "x"
            else f"tuple({x})"
        ),
        item.names,
        hashed=True,
    )


def snake(name: str) -> str:
    """``shippingNote`` → ``shipping_note``; a word of Python gets an underscore behind it.

    >>> snake("latE6"), snake("from")
    ('lat_e6', 'from_')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    low = spaced.lower().strip("_")
    return f"{low}_" if keyword.iskeyword(low) else low


def read_words(compilation: Compilation) -> Words:
    """Every struct, enum and value type of ``contracts`` outside the contracts themselves."""
    words = Words()

    def take(node: dict[str, Any]) -> None:
        kind, name = node["nodeType"], node.get("name", "")
        known: dict[str, Any] | None = None
        if kind == "StructDefinition":
            if any("mapping(" in m["typeDescriptions"]["typeString"] for m in node["members"]):
                return  # storage only; it never crosses an ABI
            known = words.structs
        elif kind == "EnumDefinition":
            known = words.enums
        elif kind == "UserDefinedValueTypeDefinition":
            words.values[name] = node["underlyingType"]["typeDescriptions"]["typeString"]
        elif kind == "ContractDefinition" and node["contractKind"] != "contract":
            for inner in node["nodes"]:
                take(inner)
        if known is not None:
            if name in known and _shape(known[name]) != _shape(node):
                raise CompilationError(f"two different types are called {name}")
            known[name] = node

    for path in sorted(compilation.trees):
        if path.startswith("contracts/"):
            for node in compilation.trees[path]["nodes"]:
                take(node)
    return words


def _shape(node: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (m["name"], m.get("typeDescriptions", {}).get("typeString", "")) for m in node["members"]
    ]
