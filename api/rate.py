"""How often one address may knock at a door that needs no key; counted in this process.

A yard's phones share one address, so what is asked through a link is counted for each link.
"""

from __future__ import annotations

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from api.errors import ApiError


class TooManyRequestsError(ApiError):
    """Too many requests from this address; wait a minute."""

    code = "too_many_requests"


class Knocks:
    """A dependency that passes so many requests a minute of one address to one door (and link).

    Args:
        door: names the door; each counts by itself.
        most: requests a minute.
    """

    def __init__(self, door: str, most: int) -> None:
        self._door = door
        self._rate = RateLimitItemPerMinute(most)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def __call__(self, request: Request) -> None:
        """Counts a request.

        Raises:
            TooManyRequestsError: there were too many.
        """
        address = request.client.host if request.client else ""
        link = str(request.path_params.get("token", ""))[:80]
        if not self._limiter.hit(self._rate, self._door, address, link):
            raise TooManyRequestsError(most_a_minute=self._rate.amount)
