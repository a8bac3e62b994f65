"""Messages that come in pieces, put together again within bounds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tracking.jt808.words import Frame

_PIECE_COST = 400
"""Bytes that a held piece takes beside its own."""


class _Pieces:
    __slots__ = ("asked", "first", "frames", "size", "touched")

    def __init__(self, first: int) -> None:
        self.first = first
        self.frames: dict[int, tuple[Frame, bytes]] = {}
        self.size = self.touched = self.asked = 0


class Missing(NamedTuple):
    """Pieces still to come of a message, to be asked for with 0x8003."""

    phone: str
    version_byte: int | None
    message_id: int
    first_serial: int
    pieces: tuple[int, ...]


class Reassembler:
    """Puts messages in pieces together, in any order of arrival; bounded in number, size and time.

    Pieces of a message carry consecutive serials, so (phone, id, number of pieces, serial - piece) names it. A
    piece that differs from one held under the same name is of a later message (a terminal that started anew
    counts from the beginning), whose other pieces are still to come. When a bound is hit the message longest
    untouched is given up.

    Args:
        most_messages: unfinished messages held.
        most_bytes: bytes of pieces held.
        expiry_s: seconds after its last piece at which an unfinished message is given up.
    """

    def __init__(
        self, *, most_messages: int = 8, most_bytes: int = 256 * 1024, expiry_s: int = 600
    ) -> None:
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._expiry_s = expiry_s
        self._open: dict[tuple[str, int, int, int], _Pieces] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def held_bytes(self) -> int:
        """Bytes of pieces waiting for the others, with what it takes to hold them."""
        return self._bytes

    def add(
        self, piece: Frame, now: int, payload: bytes = b""
    ) -> tuple[Frame, list[tuple[Frame, bytes]]] | None:
        """Takes a piece; gives the whole message and its pieces (in order) with the last one.

        Args:
            piece: a frame with ``pieces`` > 0.
            now: any clock in whole seconds that does not go back.
            payload: the piece's raw bytes, given back with it.

        Returns:
            None while pieces are missing.
        """
        first = piece.serial - piece.piece + 1 & 0xFFFF
        key = (piece.phone, piece.message_id, piece.pieces, first)
        held = self._open.get(key)
        if held is not None and piece.piece in held.frames:
            if held.frames[piece.piece][0].body == piece.body:
                return None
            self._drop(key)
        pieces = self._open.pop(key, None) or _Pieces(first)
        self._open[key] = pieces  # last in the order = touched last
        pieces.touched = pieces.asked = now
        pieces.frames[piece.piece] = (piece, payload)
        cost = len(piece.body) + len(payload) + _PIECE_COST
        pieces.size += cost
        self._bytes += cost
        if len(pieces.frames) == piece.pieces:
            self._drop(key)
            ordered = [pieces.frames[i] for i in range(1, piece.pieces + 1)]
            body = b"".join(frame.body for frame, _ in ordered)
            return piece._replace(serial=first, pieces=0, piece=0, body=body), ordered
        self._bound(now)
        return None

    def missing(self, now: int, after_s: int) -> list[Missing]:
        """What to ask for again: unfinished messages untouched for ``after_s`` seconds.

        Each is given once until another ``after_s`` have passed; at most 255 pieces at a time.
        """
        found = []
        for (phone, message_id, total, first), pieces in self._open.items():
            if now - pieces.asked < after_s:
                continue
            pieces.asked = now
            absent = (i for i in range(1, total + 1) if i not in pieces.frames)
            gaps = itertools.islice(absent, 255)
            version_byte = next(iter(pieces.frames.values()))[0].version_byte
            found.append(Missing(phone, version_byte, message_id, first, tuple(gaps)))
        return found

    def expire(self, now: int) -> int:
        """Gives up what is too old; the number of messages given up."""
        old = [k for k, p in self._open.items() if now - p.touched >= self._expiry_s]
        for key in old:
            self._drop(key)
        return len(old)

    def _bound(self, now: int) -> None:
        self.expire(now)
        while len(self._open) > self._most_messages or self._bytes > self._most_bytes:
            self._drop(next(iter(self._open)))

    def _drop(self, key: tuple[str, int, int, int]) -> None:
        self._bytes -= self._open.pop(key).size
