"""People of the demo who can sign in at ``/door``: one for each side, with a password made for this run."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from api.client import YundanClient
from deploy.demo.cast import Member, drivers, everyone

if TYPE_CHECKING:
    from deploy.demo.stages import World

FILE = "accounts.json"
"""In the run's folder: login and password of each, for whoever tries the pages."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who signs in.

    Attributes:
        login: what he types. handle: the party whose organisation he is in. role: his role there.
    """

    login: str
    handle: str
    role: str
    name: str


def people() -> tuple[Person, ...]:
    """Who can sign in; a consignee needs no account."""
    return (
        Person("firm", "subcontractor", "owner", "顺达 李经理"),
        Person("carrier", "carrier", "owner", "江海 周经理"),
        Person("lender", "lender", "owner", "同盛 陈经办"),
        Person("checker", "lender", "approver", "同盛 吴复核"),
        Person("driver", drivers()[0].handle, "owner", drivers()[0].name_zh),
    )


def open_accounts(world: World) -> None:
    """Each side founds its organisation by its key; its people take up their invitations."""
    members = {member.handle: member for member in everyone()}
    kept: dict[str, Any] = world.drawer.keep(
        "passwords", lambda: {one.login: secrets.token_urlsafe(12) for one in people()}
    )
    for one in people():
        token = _invitation(world, one, members[one.handle])
        if token is None:
            continue
        body = {
            "token": token, "login": one.login, "name": one.name, "password": kept[one.login],
        }  # fmt: skip
        with YundanClient(world.demo.url, signer=world.desk(one.handle).signer) as stranger:
            stranger.post("/v1/invitations/acceptance", body)
    path = world.demo.folder / FILE
    path.touch(0o600)
    path.write_text(
        json.dumps(
            [
                {
                    "login": one.login,
                    "password": kept[one.login],
                    "party": one.handle,
                    "role": one.role,
                }
                for one in people()
            ],
            ensure_ascii=False,
            indent=1,
        ),
        "utf-8",
    )
    print(f"     sign in at {world.demo.url}/door (passwords of this run alone):")
    for one in people():
        print(f"       {one.login:<8} {kept[one.login]:<18} {one.role} of {one.handle}")


def _invitation(world: World, one: Person, member: Member) -> str | None:
    """A place for a person; None where he has it already."""
    desk = world.desk(one.handle)
    if one.role == "owner":
        founded = desk.client.post("/v1/organisation", {"name": member.name_zh})
        token: str | None = founded["invitation"]
        return token
    if any(held["login"] == one.login for held in desk.get("/v1/members")["data"]):
        return None
    made: dict[str, Any] = desk.client.post("/v1/invitations", {"role": one.role})
    return str(made["token"])
