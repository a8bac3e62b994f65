"""What the owner of a local development node may do to its time and its blocks.

A real network has none of this; nothing but the local node's own writer and clock may be given it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.clock import require_utc
from chain.errors import ChainUnavailableError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chain.client import ChainClient


class LocalNode:
    """Control of an anvil node through its own methods."""

    def __init__(self, client: ChainClient) -> None:
        self._client = client

    def mine_again(self, raws: Sequence[bytes], timestamp: int) -> None:
        """Puts exactly these transactions, in order, into one block of this time.

        If the chain has passed that time already the block gets the time of its parent.

        Raises:
            ChainUnavailableError: no answer; part of it may have been done, and may be done again.
        """
        self._client.request("evm_setAutomine", [False])
        try:
            for raw in raws:
                # one that the node has already, or that is in a block, does no harm
                self._client.request_many([("eth_sendRawTransaction", ["0x" + raw.hex()])])
            head = int(self._client.fetch_head().at.timestamp())
            at = max(head, timestamp)
            self._client.request("evm_mine", [{"timestamp": at}])
            self._client.request("evm_setTime", [at])
        finally:
            self._client.request("evm_setAutomine", [True])

    def advance_to(self, at: dt.datetime) -> dt.datetime:
        """Mines one empty block at an instant; an instant not after the head changes nothing.

        Returns:
            The time of the chain's head now.
        """
        head = self._client.fetch_head().at
        wanted = int(require_utc(at).timestamp())
        if wanted > int(head.timestamp()):
            self._client.request("evm_mine", [{"timestamp": wanted}])
            # anvil counts on from here with the machine's clock
            self._client.request("evm_setTime", [wanted])
            head = self._client.fetch_head().at
            if int(head.timestamp()) < wanted:
                raise ChainUnavailableError("the local node did not take the new time")
        return head

    def keep_time(self) -> None:
        """After a start from saved state: time goes on from the head, never from before it."""
        self._client.request("evm_setAutomine", [True])
        head = int(self._client.fetch_head().at.timestamp())
        self._client.request("evm_setTime", [head])
