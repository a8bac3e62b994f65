"""``expand``: the parties that an object names, shown whole beside it, in one question for a whole page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from api.ports import Services
from api.routes.parties import show_party
from chain.ids import PartyId


def expand_parties(
    services: Services, page: Sequence[Mapping[str, PartyId]], wanted: Collection[str]
) -> list[dict[str, Any] | None]:
    """What is shown whole beside each object of a page; None beside each where nothing is wanted.

    Args:
        services: the transaction.
        page: of each object the parties that it names, by the name of the field.
        wanted: the fields to show whole.
    """
    if not wanted:
        return [None] * len(page)
    named = sorted({one[name] for one in page for name in wanted})
    found = services.records.list_parties(named)
    return [
        {
            name: show_party(found[one[name]]) if one[name] in found else None
            for name in sorted(set(wanted))
        }
        for one in page
    ]
