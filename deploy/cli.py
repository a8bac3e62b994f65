"""The ``yundan`` command. Each command imports what it needs when it runs: geometry and web3 take seconds.

Exit codes: 0 done (a verdict, whatever it says, is a result), 1 a check failed, 2 the input is at fault
(one line on stderr says how).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chain.errors import YundanError
from deploy import cli_roads
from deploy.cli_audit import audit

if TYPE_CHECKING:
    from collections.abc import Iterable

app = typer.Typer(
    name="yundan",
    help="运单: a driver's freight on the day he delivers, on evidence every lender can check.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
track = typer.Typer(help="Positions: decode frames, judge a file, play a file as a terminal.")
loan = typer.Typer(help="Loans on paper.")
app.add_typer(track, name="track", no_args_is_help=True)
app.add_typer(loan, name="loan", no_args_is_help=True)
app.add_typer(audit, name="audit", no_args_is_help=True)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; turns an error of the input into one line and exit code 2."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except typer.Exit as exit_:
        return int(exit_.exit_code)
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        return 0
    except YundanError as error:
        print(f"yundan: {error.code}: {error}", file=sys.stderr)
        return 2
    except typer.TyperException as error:
        said = getattr(error, "format_message", error.__str__)()
        print(f"yundan: {said}", file=sys.stderr)
        return 2
    return code if isinstance(code, int) else 0


def _print_json_lines(objects: Iterable[dict[str, Any]]) -> None:
    for found in objects:
        print(json.dumps(found, ensure_ascii=False, separators=(",", ":")))


# -- the road -------------------------------------------------------------------------------------


@track.command("decode")
def track_decode(
    form: Annotated[str, typer.Option("--format", help="jt808 (hex frames) or nmea (sentences)")],
    file: Annotated[
        Path | None, typer.Argument(help="one frame or sentence a line; stdin if left out")
    ] = None,
) -> None:
    """Decodes frames or sentences, one JSON object each, bad ones included with their error code."""
    from tracking.decode import decode_lines

    if form not in {"jt808", "nmea"}:
        raise typer.BadParameter("jt808 or nmea", param_hint="--format")
    if file is None or str(file) == "-":
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # stdin is a text stream here
        _print_json_lines(decode_lines(sys.stdin, form))  # type: ignore[arg-type]  # checked just above
        return
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            _print_json_lines(decode_lines(lines, form))  # type: ignore[arg-type]  # checked just above
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}", param_hint="FILE") from error


@track.command("check")
def track_check(
    fixes: Annotated[Path, typer.Option(help="CSV: time_utc,lat,lon,speed,heading[,...]")],
    route: Annotated[
        Path | None, typer.Option(help="planned route, GeoJSON (also GPX or encoded polyline)")
    ] = None,
    trip: Annotated[
        Path | None, typer.Option(help="JSON: pickup, delivery, planned_route, terminal, ...")
    ] = None,
    others: Annotated[
        list[Path] | None, typer.Option(help="a track already on file; repeat for more")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="write a picture of track, corridor and findings (SVG)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the whole verdict as JSON")] = False,
) -> None:
    """Judges a file of fixes against a planned route by the named rules of the policy."""
    from tracking.check import check, describe

    result = check(route, fixes, trip, others or [], plot=plot)
    print(json.dumps(result, ensure_ascii=False, indent=2) if as_json else describe(result))


@track.command("replay")
def track_replay(
    fixes: Annotated[Path, typer.Option(help="CSV of fixes, as for track check")],
    terminal: Annotated[str, typer.Option(help="the terminal's phone number")],
    to: Annotated[str, typer.Option(help="HOST:PORT of a JT/T 808 gateway")],
    plate: Annotated[str, typer.Option(help="plate to register with")] = "",
    speed: Annotated[
        float, typer.Option(help="times real time; 0 is as fast as the gateway acknowledges")
    ] = 0,
) -> None:
    """Plays a file of fixes as a JT/T 808 terminal would, over TCP; ends when all are acknowledged."""
    from tracking.ingest.replay import replay_file

    print(
        json.dumps(
            replay_file(fixes, terminal=terminal, to=to, plate=plate, speed=speed),
            ensure_ascii=False,
        )
    )


cli_roads.add_commands(track)


# -- the loan -------------------------------------------------------------------------------------


@loan.command("simulate")
def loan_simulate(
    case: Annotated[Path, typer.Argument(help="terms and dated payments (finance/README.md)")],
) -> None:
    """Plays a loan's life on paper: accrual, allocation, class and cost by day, as JSON."""
    from finance.simulate import read_case, simulate

    try:
        given = case.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(
            f"{case} is not a JSON file: {error}", param_hint="CASE"
        ) from error
    print(json.dumps(simulate(read_case(given)), ensure_ascii=False, indent=2))


# -- the running system ---------------------------------------------------------------------------


@app.command()
def serve() -> None:
    """API, portals, workers and position gateway in one process."""
    from api.processes import run_serve

    run_serve(api=True, worker=True, gateway=True)


@app.command()
def api() -> None:
    """The API and the portals alone."""
    from api.processes import run_serve

    run_serve(api=True)


@app.command()
def worker() -> None:
    """The jobs alone: sender, indexer, judge, day end. Only one of several works at a time."""
    from api.processes import run_serve

    run_serve(worker=True)


@app.command()
def gateway() -> None:
    """The JT/T 808 gateway alone."""
    from api.processes import run_serve

    run_serve(gateway=True)


@app.command()
def attestor(
    once: Annotated[bool, typer.Option(help="look once and end")] = False,
) -> None:
    """An independent witness: recomputes verdicts from raw evidence and signs them with its own key."""
    from api.attestor import run_attestor

    run_attestor(once=once)


@app.command()
def custodian(
    once: Annotated[bool, typer.Option(help="look once and end")] = False,
) -> None:
    """The custodian: instructs his bank, hears it, and signs what it paid and received."""
    from api.custodian import run_custodian

    run_custodian(once=once)


@app.command()
def bank(
    port: Annotated[int, typer.Option(help="port to listen on")] = 8100,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    store: Annotated[Path, typer.Option(help="file of the bank's books")] = Path("var/bank.db"),
    starts_at: Annotated[
        str, typer.Option(help="time at which a new bank opens, RFC 3339; left out, the machine's")
    ] = "",
    token_file: Annotated[
        Path | None, typer.Option(help="file with the bearer token that callers must carry")
    ] = None,
    house: Annotated[bool, typer.Option(help="open the custodian's account, empty")] = True,
) -> None:
    """The sandbox bank: a process of its own that speaks ISO 20022, with faults on demand."""
    from deploy.bank.run import parse_start, read_token, run_bank

    run_bank(
        host,
        port,
        store,
        starts_at=parse_start(starts_at),
        token=read_token(token_file),
        opens_house=house,
    )


@app.command()
def migrate() -> None:
    """Brings the database to the present schema."""
    from api.startup import load_settings
    from chain.sealing import Keyring
    from chain.storage import Storage
    from deploy.migrate import migrate as bring_up

    settings = load_settings()
    storage = Storage(settings.storage_url, keyring=Keyring(settings.master_keys()))
    bring_up(storage)
    storage.close()


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="the backup to write; it must not exist")],
) -> None:
    """Writes the whole database into one file, in one moment; personal data stay sealed in it."""
    from api.startup import load_settings
    from chain.clock import SystemClock
    from chain.storage import Storage
    from deploy.backup import backup as take

    storage = Storage(load_settings().storage_url)
    rows = take(storage, file, SystemClock())
    storage.close()
    print(f"{file}: {sum(rows.values())} rows of {len(rows)} tables")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="a backup")],
    erased: Annotated[
        Path | None,
        typer.Option(
            help="ids of people erased since the backup, one a line; they are erased again"
        ),
    ] = None,
) -> None:
    """Fills an empty database from a backup, and erases again whoever was erased."""
    from api.bootstrap import Container
    from api.startup import load_settings
    from deploy.backup import restore as bring_back

    container = Container(load_settings())
    try:
        rows = bring_back(container.storage, file)
        since = erased.read_text("ascii").split() if erased else []
        with container.write() as services:
            again = services.persons.repeat_erasures(since)
    except OSError as error:
        raise typer.BadParameter(
            f"{error.filename}: {error.strerror}", param_hint="FILE"
        ) from error
    finally:
        container.close()
    print(f"{file}: {sum(rows.values())} rows of {len(rows)} tables; {again} people erased again")


@app.command("access-log")
def access_log(
    noted: Annotated[
        str, typer.Option(help="NUMBER:HASH of an end of the log that was noted earlier")
    ] = "",
) -> None:
    """Checks the log of who asked for personal data; names the first row at fault; tells the log's end."""
    from api.bootstrap import Container
    from api.startup import load_settings

    number, _, mac = noted.partition(":")
    if noted and not (number.isdecimal() and mac):
        raise typer.BadParameter("NUMBER:HASH", param_hint="--noted")
    container = Container(load_settings())
    try:
        with container.read() as services:
            broken = services.access.find_broken((int(number), mac) if noted else None)
            head = services.access.head()
    finally:
        container.close()
    if broken is not None:
        print(f"row {broken.number}: {broken.why}")
        raise typer.Exit(1)
    print(f"the log holds; its end is {head[0]}:{head[1]}")


@app.command()
def trips(as_json: Annotated[bool, typer.Option("--json", help="one JSON array")] = False) -> None:
    """Trips known here: state, verdict, what was released, and why not where nothing was."""
    from api.bootstrap import list_trips
    from api.settings import Settings

    settings = Settings(demo=True)  # only reads; no key is needed
    if not settings.database_url and not (settings.var / "yundan.db").exists():
        settings = settings.model_copy(update={"var": settings.var / "demo"})
    found = list_trips(settings)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    from chain.money import yuan_text

    for trip in found:
        reasons = "; ".join(trip["reasons"])
        print(
            f"{trip['trip_id'][:14]}…  {trip['state']:<10} {trip['verdict'] or '-':<7} ¥{yuan_text(trip['released_fen']):>12}  {reasons}"
        )


@app.command()
def demo(
    serve_after: Annotated[
        bool, typer.Option("--serve/--no-serve", help="serve the portals after the story")
    ] = True,
    kill: Annotated[
        str, typer.Option(help="PROCESS@POINT: SIGKILL worker, anvil, bank or custodian there")
    ] = "",
) -> None:
    """The whole product on this machine, on real positions, told as a story."""
    from deploy.demo.run import run_demo

    raise typer.Exit(run_demo(serve_after=serve_after, kill=kill))


@app.command()
def bench(
    name: Annotated[
        str, typer.Argument(help="chain, tracking, finance, api, contracts; all if left out")
    ] = "",
) -> None:
    """Runs the benchmarks, one JSON object a line."""
    from deploy.bench import run_benches

    raise typer.Exit(run_benches(name))


if __name__ == "__main__":
    sys.exit(main())
