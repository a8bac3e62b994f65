"""One question to a node of the auditor's choosing: is this the block at that height?"""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chain.errors import ChainUnavailableError, InvalidValueError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ANSWER_BYTES = 1 << 22
TIMEOUT_S = 15.0
BATCH = 100


def fetch_hashes(url: str, numbers: Iterable[int]) -> dict[int, str]:
    """The hashes of blocks by number, as the node has them; a block it lacks is left out.

    Raises:
        InvalidValueError: the address is not http or https.
        ChainUnavailableError: no answer, or none that can be read.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise InvalidValueError("a node's address begins with http:// or https://", field="rpc")
    asked = sorted(set(numbers))
    found: dict[int, str] = {}
    for at in range(0, len(asked), BATCH):
        some = asked[at : at + BATCH]
        answers = _ask(
            url,
            [
                {
                    "jsonrpc": "2.0",
                    "id": number,
                    "method": "eth_getBlockByNumber",
                    "params": [hex(number), False],
                }
                for number in some
            ],
        )
        try:
            for answer in answers:
                if answer.get("result"):
                    found[int(answer["id"])] = str(answer["result"]["hash"]).lower()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ChainUnavailableError("the node's answer cannot be read") from error
    return found


def _ask(url: str, questions: list[dict[str, Any]]) -> list[Any]:
    request = urllib.request.Request(  # noqa: S310  the scheme was checked
        url, json.dumps(questions).encode(), {"Content-Type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            body = json.loads(answer.read(MOST_ANSWER_BYTES))
    except (OSError, ValueError) as error:
        raise ChainUnavailableError(f"the node does not answer ({error})") from error
    if not isinstance(body, list):
        raise ChainUnavailableError("the node does not take several questions at once")
    return body
