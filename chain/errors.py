"""Errors of the shared record; each has a stable code and carries its facts."""

from __future__ import annotations

from typing import Any, ClassVar


class YundanError(Exception):
    """Base of every error a user can cause. The class docstring is the default message.

    Attributes:
        code: stable snake_case word, part of the public interface.
        facts: what was given, expected and found, as JSON values.
        field: the field of the request at fault, where one is.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str = "", *, field: str = "", **facts: Any) -> None:
        self.field = field
        self.facts: dict[str, Any] = facts
        super().__init__(message or (self.__doc__ or "").splitlines()[0])


class ChainError(YundanError):
    """The shared record refused."""

    code = "chain_error"


class NotFoundError(ChainError):
    """There is no such object."""

    code = "not_found"


class InvalidValueError(ChainError):
    """A value is outside what its field allows."""

    code = "invalid_value"


class UnexpectedStateError(ChainError):
    """The object is in a state that does not allow this move."""

    code = "unexpected_state"


class SignatureRefusedError(ChainError):
    """The signature is not by the party it names, has expired or was used before."""

    code = "signature_refused"


class KeyReusedError(ChainError):
    """The same idempotency key was used before for something else."""

    code = "key_reused"


class ContractRefusedError(ChainError):
    """A contract refused the call; ``facts`` has its error's name and arguments."""

    code = "contract_refused"


class ChainUnavailableError(ChainError):
    """The node does not answer; nothing was lost, try again."""

    code = "chain_unavailable"


class WrongChainError(ChainError):
    """The node serves another chain than the one this database was written for."""

    code = "wrong_chain"


class DeepReorganisationError(ChainError):
    """The chain was reorganised below finality; the projection must be rebuilt by an operator."""

    code = "deep_reorganisation"
