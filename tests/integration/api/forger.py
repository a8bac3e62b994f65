"""What a forger does to a pack: alters a part, then writes manifest and zip anew as if nothing had been."""

from __future__ import annotations

import copy
import json
import zipfile
from typing import TYPE_CHECKING, Any

import rfc8785

from api.audit.export import in_order, zip_files
from api.verifier import pack as packs
from api.verifier.verify import manifest_entry, verify_pack

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from api.verifier.report import Report


class Forger:
    """A whole pack in memory, and the block hash that its auditor trusts.

    Args:
        path: the honest pack.
        folder: where forged ones are written.
    """

    def __init__(self, path: Path, anchor: str, folder: Path) -> None:
        self.path, self.anchor, self.folder = path, anchor, folder
        with zipfile.ZipFile(path) as archive:
            self.files = {name: archive.read(name) for name in archive.namelist()}

    def pack(self) -> packs.Pack:
        with self.path.open("rb") as raw:
            return packs.read_pack(raw)

    def value(self, name: str) -> Any:
        return json.loads(self.files[name])

    def check(self, path: Path) -> Report:
        return verify_pack(path, trust=[self.anchor])

    def write(self, files: dict[str, bytes]) -> Path:
        forged = self.folder / "forged.zip"
        zip_files(files, forged)
        return forged

    def careless(self, name: str, data: bytes) -> Report:
        """Another file under the old manifest."""
        return self.check(self.write(self.files | {name: data}))

    def careful(self, changed: dict[str, bytes | None], **manifest: Any) -> Report:
        """Other files, and the manifest that fits them; the seal cannot be made again."""
        files = {k: v for k, v in (self.files | changed).items() if v is not None}
        told = self.value(packs.MANIFEST) | manifest
        listed = [n for n in in_order(files) if n not in {packs.MANIFEST, packs.SEAL}]
        told["files"] = [manifest_entry(n, files[n]) for n in listed]
        files[packs.MANIFEST] = rfc8785.dumps(told)
        return self.check(self.write(files))

    def altered(self, name: str, alter: Callable[[Any], Any]) -> Report:
        """A JSON file altered by a careful forger; ``alter`` changes it in place or gives another."""
        value = self.value(name)
        other = alter(value)
        return self.careful({name: rfc8785.dumps(value if other is None else other)})


def codes(report: Report) -> set[str]:
    """The codes of what is red."""
    return {check.code for check in report.reds}


def leaves(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of every number and text in a JSON value."""
    if isinstance(value, dict):
        return [p for key, one in value.items() for p in leaves(one, (*at, key))]
    if isinstance(value, list):
        return [p for index, one in enumerate(value) for p in leaves(one, (*at, index))]
    return [at]


def random_alteration(value: Any, dice: random.Random) -> tuple[Any, str]:
    """The value with one leaf, or one place of a list, changed; and where."""
    value = copy.deepcopy(value)
    path = dice.choice(leaves(value))
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    old = holder[path[-1]]
    if isinstance(holder, list) and len(holder) > 1 and dice.random() < 0.3:
        if dice.random() < 0.5 and holder[0] != holder[-1]:
            holder[0], holder[-1] = holder[-1], holder[0]
        else:
            del holder[path[-1]]
    elif isinstance(old, bool) or old is None:
        holder[path[-1]] = 1
    elif isinstance(old, int):
        holder[path[-1]] = old + dice.choice((-1, 1, 10, 86_400))
    elif isinstance(old, float):
        holder[path[-1]] = round(old + 0.001, 7)
    elif old.startswith("0x") and len(old) > 2:
        place = dice.randrange(2, len(old))
        digit = dice.choice([one for one in "0123456789abcdef" if one != old[place].lower()])
        holder[path[-1]] = old[:place] + digit + old[place + 1 :]
    else:
        place = dice.randrange(len(old) + 1)
        holder[path[-1]] = old[:place] + dice.choice("xyz7") + old[place:]
    return value, ".".join(map(str, path))
