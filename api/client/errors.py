"""What a call can come to, apart from an answer."""

from __future__ import annotations

from typing import Any

from chain.errors import YundanError


class ClientError(YundanError):
    """The platform gave no usable answer."""

    code = "client_error"


class UnreachableError(ClientError):
    """The platform does not answer; nothing is known, the same act may be sent again."""

    code = "unreachable"


class RefusedError(ClientError):
    """The platform refused; ``problem`` is its answer (RFC 9457)."""

    code = "refused"

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        detail = problem.get("detail") or problem.get("title") or f"HTTP {status}"
        super().__init__(str(detail), field=str(problem.get("field") or ""), status=status)

    @property
    def reason(self) -> str:
        """The platform's stable code for the refusal."""
        return str(self.problem.get("code", ""))
