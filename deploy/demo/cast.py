"""Who takes part in the demo. Names are invented; every party keeps its own key, as a client would."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.ids import PartyId
from chain.signers import LocalSigner
from deploy.demo.roads import ALL_DRIVES, Drive

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Member:
    """One party: a stable handle, a role in the story, its names."""

    handle: str
    role: str
    name_zh: str
    name_en: str


FIRMS = (
    Member("consignor", "consignor", "海港糖业", "Harbour Sugar"),
    Member("carrier", "contract carrier", "江海合同物流", "Jianghai Contract Logistics"),
    Member("subcontractor", "subcontractor", "顺达运输", "Shunda Haulage"),
    Member("lender", "lender", "同盛小额贷款", "Tongsheng Microcredit"),
    Member("consignee-C", "consignee", "西站货场", "West freight station"),
    Member("consignee-E", "consignee", "终点工厂", "Terminus works"),
    Member("attestor-1", "attestor", "路证一号", "Road Witness One"),
    Member(
        "attestor-2", "attestor", "路证二号(放款机构指定)", "Road Witness Two (lender's choice)"
    ),
    Member("attestor-3", "attestor", "路证三号", "Road Witness Three"),
    Member("custodian-1", "custodian", "存管银行甲签", "Custodian, first signer"),
    Member("custodian-2", "custodian", "存管银行乙签", "Custodian, second signer"),
)

_SURNAMES = (
    ("张", "Zhang"), ("王", "Wang"), ("李", "Li"), ("赵", "Zhao"), ("陈", "Chen"), ("刘", "Liu"),
    ("杨", "Yang"), ("黄", "Huang"), ("周", "Zhou"), ("吴", "Wu"), ("徐", "Xu"), ("孙", "Sun"),
    ("马", "Ma"), ("朱", "Zhu"), ("胡", "Hu"), ("郭", "Guo"), ("何", "He"), ("高", "Gao"),
)  # fmt: skip


def driver_handle(drive: Drive) -> str:
    """A driver goes with his vehicle."""
    return f"driver-{drive.vehicle}"


def drivers() -> tuple[Member, ...]:
    """One driver for each vehicle, in the order the vehicles first appear."""
    vehicles = dict.fromkeys(drive.vehicle for drive in ALL_DRIVES)
    return tuple(
        Member(f"driver-{vehicle}", "driver", f"{zh}师傅", f"Driver {en}")
        for vehicle, (zh, en) in zip(vehicles, _SURNAMES, strict=False)
    )


def everyone() -> tuple[Member, ...]:
    """All parties of the demo."""
    return FIRMS + drivers()


def party_id(handle: str) -> PartyId:
    """A party's id: the first eight bytes of a hash of its handle (any unique number will do)."""
    return PartyId(int.from_bytes(hashlib.sha256(f"yundan demo {handle}".encode()).digest()[:8]))


class Keys:
    """The parties' keys in one file that only this user can read; made at random on the first run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._secrets: dict[str, str] = {}
        if path.exists():
            self._secrets = json.loads(path.read_text())

    def secret(self, handle: str) -> str:
        """The key of a party as hex, for the settings of its own process."""
        if handle not in self._secrets:
            self._secrets[handle] = secrets.token_hex(32)
            self._save()
        return self._secrets[handle]

    def signer(self, handle: str) -> LocalSigner:
        """The key of a party."""
        return LocalSigner(bytes.fromhex(self.secret(handle)))

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_suffix(".tmp")
        temporary.touch(0o600)
        with temporary.open("w") as file:
            json.dump(self._secrets, file)
        temporary.replace(self._path)
