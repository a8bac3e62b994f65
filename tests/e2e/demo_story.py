"""The demo in this process, served, with its parties' keys at hand: for stories told across the four faces."""

from __future__ import annotations

import contextlib
import io
import json
import time
from typing import TYPE_CHECKING

from eth_account import Account
from eth_account.messages import encode_typed_data

from deploy.demo.live import LiveDrives
from deploy.demo.run import Demo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.demo.stages import World

PATIENCE_MS = 60_000
"""For pages of a demo whose processes are all busy."""

BREATH_S = 0.15
"""Real seconds between two steps of a drive: a third of what a person watches."""


class Served:
    """A demo that has played its stages and takes orders now.

    Attributes:
        told: what its command would have printed.
    """

    def __init__(self, demo: Demo, world: World, told: str) -> None:
        self.demo, self.world, self.told = demo, world, told
        accounts = json.loads((demo.folder / "accounts.json").read_text("utf-8"))
        self.passwords = {one["login"]: one["password"] for one in accounts}
        self.url = demo.url

    def enter(self, watched, login: str, path: str, **options):
        """A page of somebody who came in by the door."""
        page = watched.open(f"/door?next={path}", **options)
        page.fill("#login", login)
        page.fill("#password", self.passwords[login])
        page.click("main form button.btn-primary")
        page.wait_for_url(f"**{path}", timeout=PATIENCE_MS)
        return page

    def sign(self, page, form: str) -> None:
        """Signs a form on the signing page with the wallet of this page."""
        page.goto(f"/sign?form={form}")
        page.click("[data-wallet]:not([aria-disabled])")
        page.wait_for_selector("[data-done]:not([hidden])", timeout=60_000)

    def give_wallet(self, page, handle: str) -> None:
        """A stand-in for a wallet's extension that really signs, with a party's own key."""
        account = Account.from_key("0x" + self.demo.keys.secret(handle))
        give_wallet(page, account, self.demo.chain.chain_id)

    def wait(self, is_so, seconds: float = 120.0) -> None:
        """Waits until something is so."""
        end = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.1)


def give_wallet(page, account, chain_id: int, refusals: int = 0) -> None:
    """An EIP-1193 provider in a page: asks this process, which signs typed data with a real key."""
    left = {"refusals": refusals}

    def request(told):
        method = told["method"]
        if method in {"eth_requestAccounts", "eth_accounts"}:
            return [account.address]
        if method == "eth_chainId":
            return hex(chain_id)
        assert method == "eth_signTypedData_v4", method
        if left["refusals"]:
            left["refusals"] -= 1
            return {"code": 4001}
        typed = encode_typed_data(full_message=json.loads(told["params"][1]))
        return account.sign_message(typed).signature.to_0x_hex()

    page.expose_function("walletOfTheTest", request)
    page.add_init_script(
        "window.ethereum = { request: async (told) => { const got = await walletOfTheTest(told);"
        " if (got && got.code) throw Object.assign(new Error('refused'), got); return got; } };"
    )


@contextlib.contextmanager
def served_demo(var: Path) -> Iterator[Served]:
    """The demo, played and served; every process of it ends with the block."""
    demo = Demo(var / "demo")
    told = io.StringIO()
    drives = None
    try:
        with contextlib.redirect_stdout(told):
            world = demo.run()
        drives = LiveDrives(world, breath_s=BREATH_S)
        drives.start()
        yield Served(demo, world, told.getvalue())
    finally:
        if drives is not None:
            drives.stop()
            world.close()
        demo.close()
