from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finance.errors import RuleError
from finance.expression import MAX_LENGTH, Type, parse

TYPES = {
    "n": Type.INT, "m": Type.INT, "yes": Type.BOOL, "no": Type.BOOL, "word": Type.TEXT,
    "numbers": Type.INTS, "words": Type.TEXTS, "a.b": Type.INT,
}  # fmt: skip


def value(text, **given):
    return parse(text, TYPES).evaluate(given)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 3 - 2", 5),
        ("-3 // 2", -2),
        ("7 % 4", 3),
        ("1_000_000", 1_000_000),
        ("- - 4", 4),
        ("min(3, 1, 2) + max(1, 2)", 3),
        ("abs(-5)", 5),
        ("sum([1, 2, 3])", 6),
        ("len([1, 2])", 2),
        ('len("三个字")', 3),
        ("2 in [1, 2]", True),
        ("2 not in [1, 2]", False),
        ('"a" in ["b"]', False),
        ("not 1 < 2 or 3 >= 3", True),
        ("1 == 1 and 2 != 2", False),
        ("true and not false", True),
        ("coalesce(n, 9)", 9),
        ("known(n)", False),
        ('"x" == "x"', True),
    ],
)
def test_values(text, expected):
    assert value(text) == expected


def test_inputs_are_read_by_name_dots_included():
    assert value("n + a.b > 3", **{"n": 1, "a.b": 3}) is True
    assert parse("n + a.b > 3", TYPES).names == {"n", "a.b"}


@pytest.mark.parametrize(
    ("text", "given_values", "expected"),
    [
        ("n > 1", {}, None),
        ("yes and no", {"no": False}, False),
        ("yes and no", {"yes": True}, None),
        ("yes or no", {"no": True}, True),
        ("yes or no", {"yes": False}, None),
        ("not yes", {}, None),
        ("n in [1]", {}, None),
        ("sum(numbers) > 0", {}, None),
        ("known(n) and n > 1", {}, False),
        ("min(n, 1) == 1", {}, None),
    ],
)
def test_missing_is_a_third_value_as_kleene_says(text, given_values, expected):
    assert value(text, **given_values) is expected


@given(st.sampled_from([True, False, None]), st.sampled_from([True, False, None]))
def test_and_or_are_symmetric_and_follow_de_morgan(a, b):
    assert value("yes and no", yes=a, no=b) is value("yes and no", yes=b, no=a)
    assert value("not (yes and no)", yes=a, no=b) is value("not yes or not no", yes=a, no=b)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9).filter(bool))
def test_division_rounds_down_and_has_its_remainder(a, b):
    assert value("n // m * m + n % m", n=a, m=b) == a


@pytest.mark.parametrize(
    "text",
    [
        "", "n +", "(n", "n n", "1 = 1", "n ** 2", "n.__class__", "import os", "lambda: 1", "f(1)",
        "n if yes else m", "[]", '[1, "a"]', "1.5", "'x'", '"unclosed', "n > ", "unknown > 1",
        "yes > no", "n and yes", "not n", "n + yes", '"a" < "b"', "n == word", "n in words",
        "min(1)", "abs(yes)", "n // 0", "n % 0", "true(1)", "known()", "and", "n;m", "1 < 2 < 3",
        "99999999999999999999", '__import__("os")', "n[0]", "{n}", "@n", "n\\m",
    ],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused_with_the_place(text):
    with pytest.raises(RuleError) as refused:
        parse(text, TYPES)
    assert refused.value.field == "when"


def test_too_long_and_too_deep_are_refused():
    with pytest.raises(RuleError, match="characters"):
        parse("1 + " * MAX_LENGTH + "1", TYPES)
    with pytest.raises(RuleError, match="deep"):
        parse("(" * 60 + "1" + ")" * 60, TYPES)
    with pytest.raises(RuleError, match="deep"):
        parse("not " * 60 + "yes", TYPES)
    with pytest.raises(RuleError, match="deep"):
        parse("-" * 60 + "1", TYPES)


def test_division_by_a_zero_input_is_an_error_not_a_value():
    with pytest.raises(RuleError) as refused:
        value("n // m > 1", n=1, m=0)
    assert refused.value.facts["problem"] == "division_by_zero"
    assert value("m != 0 and n // m > 1", n=1, m=0) is False


@given(st.text(max_size=60))
def test_any_text_either_parses_or_is_refused(text):
    with contextlib.suppress(RuleError):
        parse(text, TYPES)
