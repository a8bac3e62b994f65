"""Refusals of the judge's input: a plan, a policy, a file or a leaf that is not what it must be."""

from __future__ import annotations

from chain.errors import YundanError


class RefusedInputError(YundanError):
    """The judge cannot take this input."""

    code = "refused_input"


class PlanError(RefusedInputError):
    """The plan does not describe a trip that can be judged."""

    code = "bad_plan"


class PolicyError(RefusedInputError):
    """The policy file names an unknown rule or lacks a threshold."""

    code = "bad_policy"


class FileError(RefusedInputError):
    """A file of fixes or a route cannot be read; the message names line and column."""

    code = "bad_file"


class MerkleError(RefusedInputError):
    """There is no such leaf, or a number does not fit its Solidity type."""

    code = "bad_leaf"
