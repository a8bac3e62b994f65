"""The stages of the demo, in order. Each asks what is done already and does the rest."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.client import plain
from chain.abi import address
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.events import Minted
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.clock import SystemClock
from chain.compiler import compile_contracts
from chain.deployments import find_deployment
from chain.local_node import LocalNode
from chain.outbox import SqlOutbox
from chain.ports import Outgoing, TransactionState
from chain.storage import Storage
from chain.transactions import TransactionWriter
from deploy.bank.client import BankAdmin
from deploy.bank.house import HOUSE
from deploy.contracts import ROOT, ContractSettings, deploy_contracts, rebuild_local_chain
from deploy.demo import story
from deploy.demo.accounts import open_accounts
from deploy.demo.cast import driver_handle, drivers, everyone, party_id
from deploy.demo.desk import Desk, Drawer
from deploy.demo.errors import StageFailedError
from deploy.demo.photos import draw_load
from deploy.demo.roads import ALL_DRIVES, ROUTE_RUN, Drive, fixes_of, load_runs, planned_line
from deploy.demo.terminals import Terminals
from deploy.demo.world import (
    DRIVER_FEN,
    LINE,
    MIDDLE_FEN,
    QUANTITY_KG,
    ROOT_FEN,
    TERM_DAYS,
    VAULT_FEN,
    bank_account,
    phone,
    planned_routes,
    shipping_note,
    waybills_csv,
)
from deploy.migrate import migrate
from deploy.powers import council_creation, hand_over
from finance.payouts import mint_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain.abi import ContractCall, Read
    from chain.client import ChainClient
    from chain.ids import Address
    from chain.signers import LocalSigner
    from deploy.demo.run import Demo
    from finance.iso20022 import BankAccount
    from tracking.fix import Fix

TICK_S = 150
"""Seconds of the record in one step of the demo."""

BREATH_S = 0.02
"""Real seconds between two steps, so that commitments keep up with the trucks."""

SOONEST_S, LATEST_S = 240, 780
"""Seconds of the record between the last position and the receipt; a truck that is not at its gate is judged
when it has been silent for ten minutes."""

PATIENCE_S = 60.0


@dataclass(slots=True)
class World:
    """What the stages share."""

    demo: Demo
    desks: dict[str, Desk] = field(default_factory=dict)
    waybills: dict[str, str] = field(default_factory=dict)
    """Waybill ids by ``KEY/tier``."""
    refused: list[dict[str, Any]] = field(default_factory=list)
    trips: dict[str, str] = field(default_factory=dict)
    advances: dict[str, str] = field(default_factory=dict)
    line: str = ""
    accounts: dict[str, str] = field(default_factory=dict)
    """Salted hashes of payout accounts by handle."""
    latencies: list[float] = field(default_factory=list)
    bank_latencies: list[float] = field(default_factory=list)
    """Seconds from the consignee's signature to the bank's acceptance."""
    tracks: dict[str, list[Fix]] = field(default_factory=dict)
    road: list[tuple[float, float]] = field(default_factory=list)
    _client: ChainClient | None = None
    _storage: Storage | None = None
    _bank: BankAdmin | None = None

    def __post_init__(self) -> None:
        runs = load_runs()
        self.tracks = {drive.key: fixes_of(drive, runs) for drive in ALL_DRIVES}
        self.road = planned_line(runs[ROUTE_RUN])

    @property
    def drawer(self) -> Drawer:
        """Where acts are kept."""
        return Drawer(self.demo.folder / "acts")

    @property
    def client(self) -> ChainClient:
        """The demo's own look at the chain."""
        if self._client is None:
            self._client = self.demo.chain.client()
        return self._client

    @property
    def storage(self) -> Storage:
        """The database, for deployment and the administrator's transactions."""
        if self._storage is None:
            self._storage = Storage(
                f"sqlite:///{self.demo.folder / 'yundan.db'}", outlives_power_cuts=False
            )
        return self._storage

    @property
    def bank(self) -> BankAdmin:
        """The sandbox bank's back door: opens accounts, pays in, moves its clock."""
        if self._bank is None:
            self._bank = BankAdmin(self.demo.bank_url)
        return self._bank

    @property
    def relayer(self) -> LocalSigner:
        """Deploys, names attestors and custodian, gives that power away, and then only pays for gas."""
        return self.demo.keys.signer("relayer")

    def desk(self, handle: str) -> Desk:
        """A party at its desk."""
        if handle not in self.desks:
            self.desks[handle] = Desk(
                self.demo.url, handle, party_id(handle), self.demo.keys.signer(handle), self.drawer
            )
        return self.desks[handle]

    def drives(self) -> list[Drive]:
        """The drives whose waybills stand."""
        return [drive for drive in ALL_DRIVES if f"{drive.key}/2" in self.waybills]

    def trip(self, drive: Drive) -> dict[str, Any]:
        """A trip as the subcontractor sees it."""
        return self.desk("subcontractor").get(f"/v1/trips/{self.trips[drive.key]}")

    def advance(self, drive: Drive) -> dict[str, Any]:
        """The advance on a trip as the lender sees it."""
        return self.desk("lender").get(f"/v1/advances/{self.advances[drive.key]}")

    def now(self) -> dt.datetime:
        """The demo's clock: the chain's."""
        return self.client.fetch_head().at

    def move_clock(self, to: dt.datetime) -> None:
        """Moves the clock forward, never back, and waits until the platform has seen it."""
        LocalNode(self.client).advance_to(to)
        self.bank.set_clock(to)
        door = self.desk("subcontractor")
        self.wait(
            "the platform's look at the clock",
            lambda: dt.datetime.fromisoformat(door.get("/v1/health")["time"]) >= to,
        )

    def administer(self, calls: list[tuple[str, ContractCall]]) -> None:
        """Queues the deployer's calls beside everything else the relayer sends, and waits for them.

        Raises:
            StageFailedError: the contracts refused one.
        """
        with self.storage.write() as session:
            outbox = SqlOutbox(session, signer=self.relayer.address, clock=SystemClock())
            for key, call in calls:
                outbox.queue(call, key=key)
        for key, _ in calls:
            self.wait(key, lambda key=key: _has_landed(self._find(key), key))  # type: ignore[misc]  # bound now

    def created(self, key: str) -> Address:
        """Where the contract stands that this call created."""
        done = self._find(key)
        assert done is not None
        receipt = self.client.request("eth_getTransactionReceipt", [done.transaction_hash])
        return address(receipt["contractAddress"])

    def _find(self, key: str) -> Outgoing | None:
        with self.storage.read() as session:
            return SqlOutbox(session, signer=self.relayer.address, clock=SystemClock()).find(key)

    def relayer_writer(self) -> TransactionWriter:
        """The writer of the relayer's key, before the worker takes it over."""
        return TransactionWriter(
            client=self.client,
            storage=self.storage,
            signer=self.relayer,
            clock=SystemClock(),
            local=LocalNode(self.client),
        )

    def wait(self, what: str, is_so: Callable[[], bool], *, seconds: float = PATIENCE_S) -> None:
        """Waits until something is so.

        Raises:
            StageFailedError: it was not in time. ChildDiedError: a process of the demo has ended.
        """
        until = time.monotonic() + seconds
        while not is_so():
            self.demo.supervisor.check()
            if time.monotonic() > until:
                raise StageFailedError(f"{what} did not happen within {seconds:g} s")
            time.sleep(0.05)

    def close(self) -> None:
        """Closes every connection."""
        for desk in self.desks.values():
            desk.close()
        if self._bank is not None:
            self._bank.close()
        if self._storage is not None:
            self._storage.close()
        if self._client is not None:
            self._client.close()


def _has_landed(sent: Outgoing | None, key: str) -> bool:
    if sent is not None and sent.state in {TransactionState.REVERTED, TransactionState.DROPPED}:
        raise StageFailedError(f"{key} was refused: {sent.message or sent.error}")
    return sent is not None and sent.state in {TransactionState.MINED, TransactionState.FINAL}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its label (for ``--kill``), what it is, and how it is played."""

    label: str
    title: str
    play: Callable[[World], None]


# -- setting up -----------------------------------------------------------------------------------


def deploy(world: World) -> None:
    """Database and contracts."""
    migrate(world.storage)
    writer = world.relayer_writer()
    folder = world.demo.folder / "deployments"
    recorded = find_deployment(folder, world.client.chain_id)
    try:
        if recorded is not None and recorded.genesis_hash != world.client.fetch_genesis_hash():
            print("     the local chain is another one: every stored transaction is sent again")
            rebuild_local_chain(
                client=world.client, storage=world.storage, writer=writer, folder=folder
            )
        deployment = deploy_contracts(
            client=world.client,
            storage=world.storage,
            writer=writer,
            deployer=world.relayer.address,
            clock=SystemClock(),
            settings=ContractSettings(
                admin=world.relayer.address,
                registrar=world.demo.keys.signer("registrar").address,
            ),
            folder=folder,
        )
    finally:
        writer.close()
    print(f"     {len(deployment.contracts)} contracts on chain {deployment.chain_id}")


def open_doors(world: World) -> None:
    """API, worker and gateway; the sandbox bank beside them."""
    world.demo.start_bank()
    world.demo.start_platform()
    world.bank.wait_until_up(60)
    world.bank.open_account(HOUSE)
    world.wait("the platform's readiness", lambda: _is_ready(world.demo.url), seconds=90)
    pid = world.demo.supervisor.pid("worker")
    print(
        f"     API, worker and gateway: pid {pid} at {world.demo.url}; anvil: pid {world.demo.chain.process_id}"
    )


def _is_ready(url: str) -> bool:
    import httpx2  # noqa: PLC0415  only here

    try:
        return httpx2.get(f"{url}/v1/ready", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def enrol(world: World) -> None:
    """Every party enrols with its own key; the administrator names attestors and custodian.

    Every driver enters the account he wants his money on, and signs that it may be used for that.
    """
    for member in everyone():
        kind = member.role
        world.desk(member.handle).register(
            name_zh=member.name_zh, name_en=member.name_en, kind=kind
        )
    asked: list[Read[Any]] = [
        PartyRegistry.is_registered(party_id(member.handle)) for member in everyone()
    ]
    world.wait(
        "the enrolment of every party",
        lambda: all(world.client.fetch_many(asked)),
    )
    calls = [
        (f"attestor:{handle}", DeliveryRegistry.add_attestor(party_id(handle)))
        for handle in ("attestor-1", "attestor-2", "attestor-3")
    ]
    custodians = SettlementToken.set_custodian(party_id("custodian-1"), party_id("custodian-2"))
    world.administer([*calls, ("custodian", custodians)])
    _hand_over(world)
    world.demo.start_attestors()
    world.demo.start_custodian()
    _enter_accounts(world)
    print(
        f"     {len(everyone())} parties, 3 attestors (2 needed, one of them the lender's choice)"
    )


def _enter_accounts(world: World) -> None:
    """Each driver's account, in his own name, under his own signature; of it the chain sees a salted hash."""
    for member in drivers():
        desk, account = world.desk(member.handle), bank_account(member)
        world.bank.open_account(account)

        def prepare(desk: Desk = desk, account: BankAccount = account) -> dict[str, Any]:
            named = {
                "holder": account.holder,
                "number": account.number,
                "bank": account.bank,
                "salt": "0x" + secrets.token_hex(32),
            }
            form = desk.client.post("/v1/payout-accounts/form", named)
            return named | desk.client.sign(form["to_sign"])

        entered = desk.send(f"account.{member.handle}", "/v1/payout-accounts", prepare)
        world.accounts[member.handle] = entered["account"]


def _hand_over(world: World) -> None:
    """Two officers and a guardian get the powers; the relayer is left with none."""
    deployment = world.client.deployment
    officers = [world.demo.keys.signer(f"officer-{number}").address for number in (1, 2)]
    made = compile_contracts(ROOT).artifacts["Council"]
    world.administer([("council", council_creation(made, deployment, officers))])
    world.administer(
        hand_over(
            deployment,
            deployer=world.relayer.address,
            council=world.created("council"),
            guardian=world.demo.keys.signer("guardian").address,
        )
    )


# -- business -------------------------------------------------------------------------------------


def submit_waybills(world: World) -> None:
    """The contract carrier submits a CSV of three tiers a trip; bad rows are refused, good ones stand."""
    carrier = world.desk("carrier")
    real = [drive for drive in ALL_DRIVES if drive.run]
    for route in planned_routes(real, world.road).values():
        carrier.client.post("/v1/routes", route, once=f"route.{route['name']}")
    content = waybills_csv(ALL_DRIVES, world.tracks).encode()
    taken = carrier.client.post_file(
        "/v1/waybills/import?mode=good", content, once="waybills.import"
    )
    world.waybills = dict(taken["waybills"])
    world.refused = list(taken["refused"])
    print(f"     {taken['imported']} waybills drafted, {len(world.refused)} cells refused")


def sign_waybills(world: World) -> None:
    """Every side signs with its own key, from the top of each chain downwards."""
    signatures = 0
    for drive in ALL_DRIVES:
        sides = ("consignor", "carrier", "subcontractor", driver_handle(drive))
        for tier in range(3):
            wid = world.waybills.get(f"{drive.key}/{tier}")
            if wid is None:
                continue
            for handle in sides[tier : tier + 2]:
                world.desk(handle).client.sign_waybill(wid)
                signatures += 1
    carrier = world.desk("carrier")
    wanted = set(world.waybills.values())

    def all_issued() -> bool:
        seen = {wid: carrier.get(f"/v1/waybills/{wid}")["stage"] for wid in wanted}
        refused = [wid for wid, stage in seen.items() if stage == "refused"]
        if refused:
            shown = carrier.get(f"/v1/waybills/{refused[0]}")
            raise StageFailedError(f"the chain refused a waybill: {shown['refusal']}")
        wanted.difference_update(
            wid for wid, stage in seen.items() if stage not in {"draft", "signed"}
        )
        return not wanted

    world.wait("the issue of every waybill", all_issued)
    for drive in world.drives():
        shown = carrier.get(f"/v1/waybills/{world.waybills[f'{drive.key}/2']}")
        world.trips[drive.key] = plain(shown["trip"])
    print(f"     {signatures} signatures; {len(world.waybills)} waybills stand on chain")


def open_line(world: World) -> None:
    """The lender's money comes in and his line opens, signed by both sides."""
    lender, borrower = world.desk("lender"), world.desk("subcontractor")
    deposit_bank_money(world, "vault", lender.get("/v1/pay-in"), VAULT_FEN, payer="lender")
    lender.send(
        "vault.in",
        "/v1/vault",
        lambda: lender.client.sign(
            lender.client.post("/v1/vault/form", {"deposit": True, "amount_fen": VAULT_FEN})[
                "to_sign"
            ]
        ),
    )

    def both_sign() -> dict[str, Any]:
        asked = {
            "lender": str(lender.party),
            "borrower": str(borrower.party),
            "attestor": str(party_id("attestor-2")),
            "valid_until": "2026-12-31T00:00:00Z",
            "terms": "0x" + hashlib.sha256(b"yundan demo facility agreement").hexdigest(),
            **LINE,
        }
        form = lender.client.post("/v1/lines/form", asked)["to_sign"]
        first, second = lender.client.sign(form), borrower.client.sign(form)
        return {
            "message": first["message"],
            "lender_signature": first["signature"],
            "borrower_signature": second["signature"],
        }

    opened = lender.send("line", "/v1/lines", both_sign)
    world.line = opened["id"]
    world.wait(
        "the opening of the line",
        lambda: lender.get(f"/v1/lines/{world.line}")["state"] == "open",
    )
    print(f"     line of {story.yuan(int(LINE['limit_fen']))} for {story.name('subcontractor')}")


def deposit_bank_money(
    world: World, name: str, pay_in: dict[str, Any], amount: int, *, payer: str
) -> None:
    """Somebody pays in at the bank under a reference; the custodian hears of it and mints it where it belongs."""
    booked = world.bank.deposit(
        key=name,
        account=pay_in["number"],
        amount_fen=amount,
        remittance=f"运费 {pay_in['reference']}",
        payer_name=story.name(payer),
    )
    world.wait(
        f"the receipt of bank money ({name})",
        lambda: bool(world.client.fetch_events(Minted, about=mint_reference(booked))),
    )


def ask_for_advances(world: World) -> None:
    """The subcontractor asks; decision, debtor's word, driver's consent, lender's approval."""
    borrower, debtor, lender = (world.desk(h) for h in ("subcontractor", "carrier", "lender"))
    for drive in world.drives():
        key = drive.key
        leaf, own = world.waybills[f"{key}/2"], world.waybills[f"{key}/1"]
        asked = {
            "line": world.line,
            "waybill": own,
            "trip": world.trips[key],
            "principal_fen": DRIVER_FEN,
            "payees": [
                {
                    "party": str(party_id(driver_handle(drive))),
                    "waybill": leaf,
                    "account": world.accounts[driver_handle(drive)],
                    "amount_fen": DRIVER_FEN,
                }
            ],
        }

        def decide_and_sign(asked: dict[str, Any] = asked, key: str = key) -> dict[str, Any]:
            decision = borrower.client.post("/v1/advances/decision", asked)
            if decision["to_sign"] is None:
                said = "; ".join(reason["en"] for reason in decision["reasons"])
                raise StageFailedError(f"the advance on {key} was refused: {said}")
            return borrower.client.sign(decision["to_sign"])

        world.advances[key] = borrower.send(f"advance.{key}", "/v1/advances", decide_and_sign)["id"]
    for drive in world.drives():
        world.wait(
            f"the request on {drive.key}",
            lambda drive=drive: world.advance(drive)["debtor"] != "",  # type: ignore[misc]  # bound now
        )
        path = f"/v1/advances/{world.advances[drive.key]}"
        debtor.act(f"acknowledge.{drive.key}", f"{path}/acknowledgement")
        world.desk(driver_handle(drive)).act(f"consent.{drive.key}", f"{path}/consent")
        lender.act(f"approve.{drive.key}", f"{path}/approval")
    for drive in world.drives():
        world.wait(
            f"the approval on {drive.key}",
            lambda drive=drive: world.advance(drive)["state"] not in {"none", "requested"},  # type: ignore[misc]  # bound now
        )
    line = lender.get(f"/v1/lines/{world.line}")
    print(
        f"     {len(world.advances)} advances approved; {story.yuan(line['reserved_fen'])} locked in the vault"
    )


# -- the road -------------------------------------------------------------------------------------


def drive_all(world: World) -> None:
    """The trucks drive: fixes over JT/T 808, commitments on the way, receipts on arrival."""
    terminals = Terminals("127.0.0.1", int(world.demo.environment()["YUNDAN_GATEWAY_PORT"]))
    drives = world.drives()
    waiting = {drive.key: list(world.tracks[drive.key]) for drive in drives}
    arrived: dict[str, int] = {}
    done: set[str] = set()
    for drive in drives:
        state = world.trip(drive)
        if state["state"] == "delivered" or state["confirmed_at"] is not None:
            done.add(drive.key)
    begin = (
        min(fixes[0].time for key, fixes in waiting.items() if key not in done)
        if len(done) < len(drives)
        else 0
    )
    end = max(fixes[-1].time for fixes in waiting.values()) + 2 * LATEST_S
    clock = begin
    try:
        while len(done) < len(drives) and clock < end:
            clock += TICK_S
            _load_due(world, drives, waiting, done, clock)
            world.move_clock(dt.datetime.fromtimestamp(clock, dt.UTC))
            batches: dict[str, list[Fix]] = {}
            for drive in drives:
                if drive.key in done or drive.key in arrived:
                    continue
                fixes = waiting[drive.key]
                due = [fix for fix in fixes if fix.time <= clock]
                if due:
                    batches.setdefault(phone(drive.vehicle), []).extend(due)
                    del fixes[: len(due)]
                if not fixes:
                    arrived[drive.key] = clock
            terminals.send(batches)
            for drive in drives:
                if drive.key not in arrived or drive.key in done:
                    continue
                since = clock - arrived[drive.key]
                if since >= LATEST_S or (since >= SOONEST_S and _has_word(world, drive)):
                    _sign_receipt(world, drive)
                    done.add(drive.key)
            world.demo.supervisor.check()
            time.sleep(BREATH_S)
    finally:
        terminals.close()
    print(
        f"     {terminals.sent} positions acknowledged over the socket; {len(done)} receipts signed"
    )


def _load_due(
    world: World,
    drives: list[Drive],
    waiting: dict[str, list[Fix]],
    done: set[str],
    clock: int,
) -> None:
    """The drivers whose trips begin now say that they are loaded."""
    for drive in drives:
        fixes = waiting[drive.key]
        if drive.key in done or not fixes or fixes[0].time > clock:
            continue
        name = f"load.{drive.key}"
        if world.drawer.has(name) and world.trip(drive)["state"] != "open":
            continue
        world.move_clock(dt.datetime.fromtimestamp(fixes[0].time, dt.UTC))
        world.desk(driver_handle(drive)).act(
            name, f"/v1/deliveries/{world.trips[drive.key]}/loading"
        )
        _show_load(world, drive, "loading_photo")
        world.wait(
            f"the loading of {drive.key}",
            lambda drive=drive: world.trip(drive)["state"] != "open",  # type: ignore[misc]  # bound now
        )


def _show_load(world: World, drive: Drive, purpose: str, *, missing: int = 0) -> None:
    """The driver's picture of his load, as his phone would send it."""
    about = world.trips[drive.key].replace("0x", "trp_")
    world.desk(driver_handle(drive)).client.post_file(
        f"/v1/documents?about={about}&purpose={purpose}",
        draw_load(shipping_note(drive), missing=missing),
        content_type="image/jpeg",
        once=f"{purpose}.{drive.key}",
    )


def _has_word(world: World, drive: Drive) -> bool:
    """Whether two attestors have spoken on chain."""
    said = world.trip(drive)["attestations"]
    return sum(bool(one["on_chain"]) for one in said) >= 2


def _sign_receipt(world: World, drive: Drive) -> None:
    """The consignee signs on arrival, minutes after the attestors have spoken; the money is timed."""
    trip = world.trips[drive.key]
    consignee = world.desk(f"consignee-{drive.unloading}")
    driver = world.desk(driver_handle(drive))

    world.wait(f"the attestors' word on {drive.key}", lambda: _has_word(world, drive))
    verdict = driver.get(f"/v1/trips/{trip}")["verdict"]
    accepted = QUANTITY_KG * 9 // 10 if drive.alteration == "shortage" else QUANTITY_KG
    if accepted < QUANTITY_KG:
        _show_load(world, drive, "damage_photo", missing=4)
    began = time.monotonic()
    consignee.act(
        f"receipt.{drive.key}", f"/v1/deliveries/{trip}/confirmation", accepted_milli=accepted
    )
    if verdict == "pass" and drive.alteration != "shortage":
        world.wait(
            f"the money of {drive.key}",
            lambda: driver.get(f"/v1/trips/{trip}")["paid_fen"] > 0,
        )
        world.latencies.append(time.monotonic() - began)
    else:
        world.wait(
            f"the receipt of {drive.key}",
            lambda: driver.get(f"/v1/trips/{trip}")["confirmed_at"] is not None,
        )


# -- afterwards -----------------------------------------------------------------------------------


def pay_out(world: World) -> None:
    """The custodian's bank has paid each driver once, under its payment sequence; the custodian burned the token."""
    custodian = world.desk("custodian-1")
    paid = [drive for drive in world.drives() if world.trip(drive)["paid_fen"] > 0]

    def is_done() -> bool:
        return not custodian.get("/v1/custody/payouts")["data"]

    world.wait("the bank's payment of every driver", is_done, seconds=2 * PATIENCE_S)
    asked = custodian.get("/v1/custody/questions")["data"]
    if asked:
        raise StageFailedError(f"the bank left a question: {asked[0]['text']}")
    balances = world.bank.balances()
    told = [
        payout
        for member in drivers()
        for payout in world.desk(member.handle).get("/v1/payouts")["data"]
    ]
    if len(told) != len(paid) or sum(one["amount_fen"] for one in told) != sum(
        balances[bank_account(member).number] for member in drivers()
    ):
        raise StageFailedError("what the bank holds for the drivers is not what they were paid")
    world.bank_latencies = [one["bank_seconds"] for one in told if one["bank_seconds"] is not None]
    print(f"     {len(told)} payouts on the drivers' bank accounts, their token burned")


STILL_OWED = 2
"""Loans whose debtors have not paid yet, so that the lender's first screen has something to answer."""


def repay(world: World) -> None:
    """At term the consignor's money comes in and splits itself down the chain; the last ones are not due yet."""
    due = world.now() + dt.timedelta(days=TERM_DAYS)
    if not world.drawer.has("due"):
        world.move_clock(due)
    world.drawer.keep("due", due.isoformat)
    paid = [drive for drive in world.drives() if world.trip(drive)["paid_fen"] > 0]
    carrier = world.desk("carrier")
    on_time = paid[: len(paid) - STILL_OWED]
    for drive in on_time:
        root = world.waybills[f"{drive.key}/0"]
        if world.advance(drive)["state"] == "repaid":
            continue
        if not world.drawer.has(f"cascade.{drive.key}"):
            _sign_cascade(world, drive)
        pay_in = carrier.get(f"/v1/waybills/{root}/pay-in")
        deposit_bank_money(world, f"freight.{drive.key}", pay_in, ROOT_FEN, payer="consignor")
        carrier.client.post(
            f"/v1/waybills/{root}/settlements",
            {"reference": f"freight.{drive.key}"},
            once=f"settle.{drive.key}",
        )
    for drive in on_time:
        world.wait(
            f"the repayment of {drive.key}",
            lambda drive=drive: world.advance(drive)["state"] == "repaid",  # type: ignore[misc]  # bound now
        )
    print(
        f"     {len(on_time)} loans repaid by the debtors' freight, {len(paid) - len(on_time)} still owed"
    )


def _sign_cascade(world: World, drive: Drive) -> None:
    """The contract carrier lets what he is paid flow on to the waybill he owes."""
    carrier = world.desk("carrier")
    root, own = (world.waybills[f"{drive.key}/{tier}"] for tier in (0, 1))
    carrier.act(
        f"cascade.{drive.key}", f"/v1/waybills/{root}/cascade", child=own, most_fen=MIDDLE_FEN
    )


STAGES = (
    Stage("contracts", "database migrated, contracts deployed", deploy),
    Stage("doors", "API, worker and JT/T 808 gateway open", open_doors),
    Stage("parties", "every party enrols with its own key", enrol),
    Stage("accounts", "each side's people take up their accounts", open_accounts),
    Stage("waybills", "a CSV of waybills becomes drafts", submit_waybills),
    Stage("signatures", "both sides of every waybill sign", sign_waybills),
    Stage("line", "the lender funds his vault and opens a line", open_line),
    Stage("advances", "advances asked for, acknowledged, consented, approved", ask_for_advances),
    Stage(
        "road",
        "real positions arrive, are committed, judged and attested; receipts release",
        drive_all,
    ),
    Stage("payouts", "the bank pays the drivers out", pay_out),
    Stage("repayment", "the debtors pay at term; every payment splits itself", repay),
    Stage("books", "chain, ledger and token supply are compared; the story", story.tell),
)
"""In order; the labels are what ``--kill`` takes."""
