"""The closed language of rules: whole numbers, text, truth and lists; missing data is a third value.

Grammar, loosest first::

    or: and ("or" and)*            not: "not" not | compare
    and: not ("and" not)*          compare: sum (("=="|"!="|"<"|"<="|">"|">="|"in"|"not in") sum)?
    sum: product (("+"|"-") product)*
    product: unary (("*"|"//"|"%") unary)*          unary: "-" unary | atom
    atom: 123 | 1_000 | "text" | true | false | name | a.b | f(x, ...) | [x, ...] | (or)
    f: min max abs len sum known coalesce

There are no floats, loops, attributes or calls beside these. ``and``, ``or`` and ``not`` follow Kleene:
``false and missing`` is false, ``true and missing`` is missing. Anything else that touches a missing
value is missing; ``known(x)`` never is. ``//`` and ``%`` round down; by zero they are an error, not a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from finance.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Value = int | bool | str | tuple[int, ...] | tuple[str, ...] | None
    Evaluate = Callable[[Mapping[str, Value]], Value]

MAX_LENGTH = 2_000
MAX_DEPTH = 40
MAX_LITERAL = 2**63


class Type(StrEnum):
    """What a value may be."""

    INT = "int"
    BOOL = "bool"
    TEXT = "text"
    INTS = "ints"
    TEXTS = "texts"


_TOKEN: Final = re.compile(
    r"\s*(?:(?P<int>\d+(?:_\d+)*)|(?P<text>\"[^\"\\]*\")|(?P<name>[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*)"
    r"|(?P<op>==|!=|<=|>=|//|[-+*%<>(),\[\]]))"
)
_KEYWORDS: Final = frozenset({"and", "or", "not", "in", "true", "false"})
_COMPARE: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed and typed expression.

    Attributes:
        text: as written.
        type: of its value.
        names: inputs that it reads.
    """

    text: str
    type: Type
    names: frozenset[str]
    _evaluate: Evaluate

    def evaluate(self, values: Mapping[str, Value]) -> Value:
        """The value, None where it is missing.

        Raises:
            RuleError: a division by zero.
        """
        return self._evaluate(values)


def parse(text: str, types: Mapping[str, Type]) -> Expression:
    """Reads an expression over typed inputs.

    Raises:
        RuleError: it does not parse, does not type, names an unknown input, or divides by a literal 0;
            the message says where.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(f"an expression has at most {MAX_LENGTH} characters", given=len(text))
    parser = _Parser(text, types)
    kind, evaluate = parser.parse_or(0)
    parser.expect_end()
    return Expression(text, kind, frozenset(parser.names), evaluate)


class _Parser:
    def __init__(self, text: str, types: Mapping[str, Type]) -> None:
        self._text = text
        self._types = types
        self._tokens = _tokens(text)
        self._at = 0
        self.names: set[str] = set()

    # -- tokens

    def _peek(self) -> tuple[str, str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "", 0)

    def _take(self) -> tuple[str, str, int]:
        token = self._peek()
        self._at += 1
        return token

    def _is(self, *words: str) -> bool:
        kind, word, _ = self._peek()
        return kind in ("op", "name") and word in words

    def _expect(self, word: str) -> None:
        if not self._is(word):
            raise self._refusal(f"expected {word!r}")
        self._take()

    def expect_end(self) -> None:
        """Refuses what is left over."""
        if self._at < len(self._tokens):
            raise self._refusal("unexpected")

    def _refusal(self, problem: str) -> RuleError:
        _, word, at = self._peek()
        near = f"{word!r} at character {at}" if word else "the end"
        return RuleError(
            f"{problem} near {near} in {self._text!r}", field="when", expression=self._text
        )

    def _want(self, given: Type, *wanted: Type) -> None:
        if given not in wanted:
            raise self._refusal(f"expected {' or '.join(wanted)}, found {given}")

    # -- grammar

    def parse_or(self, depth: int) -> tuple[Type, Evaluate]:
        if depth > MAX_DEPTH:
            raise self._refusal("nested too deep")
        kind, left = self._parse_and(depth)
        while self._is("or"):
            self._take()
            other, right = self._parse_and(depth)
            self._want(kind, Type.BOOL)
            self._want(other, Type.BOOL)
            left = _or(left, right)
        return kind, left

    def _parse_and(self, depth: int) -> tuple[Type, Evaluate]:
        kind, left = self._parse_not(depth)
        while self._is("and"):
            self._take()
            other, right = self._parse_not(depth)
            self._want(kind, Type.BOOL)
            self._want(other, Type.BOOL)
            left = _and(left, right)
        return kind, left

    def _parse_not(self, depth: int) -> tuple[Type, Evaluate]:
        if depth > MAX_DEPTH:
            raise self._refusal("nested too deep")
        if self._is("not"):
            self._take()
            kind, inner = self._parse_not(depth + 1)
            self._want(kind, Type.BOOL)
            return Type.BOOL, _not(inner)
        return self._parse_compare(depth)

    def _parse_compare(self, depth: int) -> tuple[Type, Evaluate]:
        kind, left = self._parse_sum(depth)
        if self._is("in", "not"):
            negated = self._is("not")
            self._take()
            if negated:
                self._expect("in")
            other, right = self._parse_sum(depth)
            self._want(other, Type.INTS if kind is Type.INT else Type.TEXTS)
            self._want(kind, Type.INT, Type.TEXT)
            found = _contains(left, right)
            return Type.BOOL, _not(found) if negated else found
        if self._is(*_COMPARE):
            operator = self._take()[1]
            other, right = self._parse_sum(depth)
            if other is not kind:
                raise self._refusal(f"cannot compare {kind} with {other}")
            if operator not in ("==", "!="):
                self._want(kind, Type.INT)
            return Type.BOOL, _compare(operator, left, right)
        return kind, left

    def _parse_sum(self, depth: int) -> tuple[Type, Evaluate]:
        kind, left = self._parse_product(depth)
        while self._is("+", "-"):
            operator = self._take()[1]
            other, right = self._parse_product(depth)
            self._want(kind, Type.INT)
            self._want(other, Type.INT)
            left = _arithmetic(operator, left, right)
        return kind, left

    def _parse_product(self, depth: int) -> tuple[Type, Evaluate]:
        kind, left = self._parse_unary(depth)
        while self._is("*", "//", "%"):
            operator = self._take()[1]
            literal_zero = self._peek()[0] == "int" and not int(self._peek()[1])
            other, right = self._parse_unary(depth)
            self._want(kind, Type.INT)
            self._want(other, Type.INT)
            if operator != "*" and literal_zero:
                raise self._refusal("division by zero")
            left = _arithmetic(operator, left, right)
        return kind, left

    def _parse_unary(self, depth: int) -> tuple[Type, Evaluate]:
        if depth > MAX_DEPTH:
            raise self._refusal("nested too deep")
        if self._is("-"):
            self._take()
            kind, inner = self._parse_unary(depth + 1)
            self._want(kind, Type.INT)
            return Type.INT, _arithmetic("-", _constant(0), inner)
        return self._parse_atom(depth)

    def _parse_atom(self, depth: int) -> tuple[Type, Evaluate]:
        kind, word, _ = self._peek()
        if kind == "int":
            if int(word) > MAX_LITERAL:
                raise self._refusal("a number this large is a mistake")
            self._take()
            return Type.INT, _constant(int(word))
        if kind == "text":
            self._take()
            return Type.TEXT, _constant(word[1:-1])
        if self._is("("):
            self._take()
            inner = self.parse_or(depth + 1)
            self._expect(")")
            return inner
        if self._is("["):
            return self._parse_list(depth)
        if kind == "name" and word in ("true", "false"):
            self._take()
            return Type.BOOL, _constant(word == "true")
        if kind == "name" and word not in _KEYWORDS:
            self._take()
            return self._parse_call(word, depth) if self._is("(") else self._input(word)
        raise self._refusal("expected a value")

    def _parse_list(self, depth: int) -> tuple[Type, Evaluate]:
        self._expect("[")
        items = self._parse_items("]", depth)
        kinds = {kind for kind, _ in items}
        if len(kinds) != 1 or not kinds <= {Type.INT, Type.TEXT}:
            raise self._refusal(
                "a list holds whole numbers or texts, at least one, all of one kind"
            )
        return (Type.INTS if kinds == {Type.INT} else Type.TEXTS), _listing([e for _, e in items])

    def _parse_items(self, end: str, depth: int) -> list[tuple[Type, Evaluate]]:
        items: list[tuple[Type, Evaluate]] = []
        while not self._is(end):
            if items:
                self._expect(",")
            items.append(self.parse_or(depth + 1))
        self._expect(end)
        return items

    def _input(self, name: str) -> tuple[Type, Evaluate]:
        if name not in self._types:
            self._at -= 1
            raise self._refusal(f"no input is called {name}")
        self.names.add(name)
        return self._types[name], _read(name)

    def _parse_call(self, name: str, depth: int) -> tuple[Type, Evaluate]:
        self._expect("(")
        items = self._parse_items(")", depth)
        kinds = [kind for kind, _ in items]
        inner = [evaluate for _, evaluate in items]
        if name in ("min", "max") and len(items) >= 2 and set(kinds) == {Type.INT}:
            return Type.INT, _of_all(min if name == "min" else max, inner)
        if name == "abs" and kinds == [Type.INT]:
            return Type.INT, _of_all(_abs, inner)
        if name == "sum" and kinds == [Type.INTS]:
            return Type.INT, _of_all(_sum, inner)
        if name == "len" and len(kinds) == 1 and kinds[0] in (Type.INTS, Type.TEXTS, Type.TEXT):
            return Type.INT, _of_all(len, inner)
        if name == "known" and len(items) == 1:
            return Type.BOOL, _known(inner[0])
        if name == "coalesce" and len(items) == 2 and kinds[0] is kinds[1]:
            return kinds[0], _coalesce(*inner)
        raise self._refusal(f"no function {name}({', '.join(kinds)})")


def _tokens(text: str) -> list[tuple[str, str, int]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise RuleError(
                f"cannot read {text[at:].strip()[:12]!r} at character {at} in {text!r}",
                field="when",
                expression=text,
            )
        kind = match.lastgroup or ""
        found.append((kind, match[kind], match.start(kind)))
        at = match.end()
    return found


# -- evaluation: closures, so that a thousand rules run in milliseconds ----------------------------


def _constant(value: Value) -> Evaluate:
    return lambda _values: value


def _read(name: str) -> Evaluate:
    return lambda values: values.get(name)


def _known(inner: Evaluate) -> Evaluate:
    return lambda values: inner(values) is not None


def _coalesce(inner: Evaluate, other: Evaluate) -> Evaluate:
    def evaluate(values: Mapping[str, Value]) -> Value:
        value = inner(values)
        return other(values) if value is None else value

    return evaluate


def _not(inner: Evaluate) -> Evaluate:
    def evaluate(values: Mapping[str, Value]) -> Value:
        value = inner(values)
        return None if value is None else not value

    return evaluate


def _and(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(values: Mapping[str, Value]) -> Value:
        first = left(values)
        if first is False:
            return False
        second = right(values)
        if second is False:
            return False
        return None if first is None or second is None else True

    return evaluate


def _or(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(values: Mapping[str, Value]) -> Value:
        first = left(values)
        if first is True:
            return True
        second = right(values)
        if second is True:
            return True
        return None if first is None or second is None else False

    return evaluate


def _listing(items: list[Evaluate]) -> Evaluate:
    def evaluate(values: Mapping[str, Value]) -> Value:
        found = tuple(item(values) for item in items)
        return None if None in found else found  # type: ignore[return-value]  # kinds were checked when it was read

    return evaluate


def _contains(left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(values: Mapping[str, Value]) -> Value:
        item, items = left(values), right(values)
        return None if item is None or items is None else item in items  # type: ignore[operator]  # kinds were checked when it was read

    return evaluate


def _compare(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    compare: Callable[[int, int], bool] = {
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }[operator]

    def evaluate(values: Mapping[str, Value]) -> Value:
        a, b = left(values), right(values)
        return None if a is None or b is None else compare(a, b)  # type: ignore[arg-type]  # kinds were checked when it was read

    return evaluate


def _arithmetic(operator: str, left: Evaluate, right: Evaluate) -> Evaluate:
    compute: Callable[[int, int], int] = {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "//": lambda a, b: a // b,
        "%": lambda a, b: a % b,
    }[operator]

    def evaluate(values: Mapping[str, Value]) -> Value:
        a, b = left(values), right(values)
        if a is None or b is None:
            return None
        if b == 0 and operator in ("//", "%"):
            raise RuleError("a rule divides by zero", field="when", problem="division_by_zero")
        return compute(a, b)  # type: ignore[arg-type]  # kinds were checked when it was read

    return evaluate


def _of_all(function: Callable[..., int], items: list[Evaluate]) -> Evaluate:
    def evaluate(values: Mapping[str, Value]) -> Value:
        found = [item(values) for item in items]
        return None if None in found else function(*found)

    return evaluate


def _abs(value: int) -> int:
    return abs(value)


def _sum(values: tuple[int, ...]) -> int:
    return sum(values)
