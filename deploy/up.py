"""Brings a checkout up and runs its gates, with the Python standard library alone.

``python3 deploy/up.py [setup|demo|test|test-deep|check]`` from any directory; the make targets
are thin over it. Every step of the set-up carries a stamp, the hash of what it was made from, so
a second run does nothing twice. Programs talk into ``var/setup.log``; the screen shows one line
a step. Exit codes: 0 well, 1 a gate failed, 2 this machine lacks a program, 3 packages could not
be fetched.

This file is read by whatever ``python3`` a machine has, so its syntax stays old.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
NODE_MODULES = ROOT / "node_modules"
LOG = ROOT / "var" / "setup.log"
LOCK = ROOT / "requirements.lock"
UV_LOCK = ROOT / "deploy" / "uv.requirements.txt"
# Folders that stand in for the package indexes on a machine without a network.
WHEELS, NPM_CACHE = ROOT / "wheels", ROOT / "npm-cache"
DEEP_VENV, DEEP_LOCK = ROOT / ".venv-deep", ROOT / "deploy" / "deep.requirements.lock"
OLDEST_PYTHON, OLDEST_NODE = (3, 11), 20

NO_NETWORK_WORDS = (
    "dns error",
    "resolve host",
    "name resolution",
    "error sending request",
    "newconnectionerror",
    "connection refused",
    "network is unreachable",
    "no route to host",
    "connecttimeout",
    "timed out",
    "enotfound",
    "eai_again",
    "econnrefused",
    "enetunreach",
    "etimedout",
    "enotcached",
)
AIR_GAP = """\
      Without a network: on a connected machine of the same kind, in a clone of this project,
        python3 -m pip download --require-hashes -r deploy/uv.requirements.txt -d wheels
        python3 -m pip download --require-hashes -r requirements.lock -d wheels
        npm ci --ignore-scripts --cache npm-cache
      copy the folders wheels and npm-cache into this checkout and run the same command again."""


class StopError(Exception):
    """Ends the program with a message for a person and an exit code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def say(text, end="\n"):
    print(text, end=end, flush=True)


def digest(*parts):
    """One hash over files (by content) and words (as they are)."""
    total = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, pathlib.Path) else str(part).encode()
        total.update(len(content).to_bytes(8, "big") + content)
    return total.hexdigest()


def stamped(stamp, value):
    return stamp.is_file() and stamp.read_text().strip() == value


def run_logged(command, **env):
    """Runs a program with its words in the log; gives the exit code and what it said."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a", encoding="utf-8") as log:
        log.write("\n$ " + " ".join(map(shlex.quote, map(str, command))) + "\n")
        log.flush()
        begin = log.tell()
        with contextlib.suppress(FileNotFoundError):
            done = subprocess.run(
                list(map(str, command)),
                cwd=str(ROOT),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, **env),
                check=False,
            )
            log.flush()
            with LOG.open("rb") as written:
                written.seek(begin)
                return done.returncode, written.read().decode("utf-8", "replace")
        return 127, f"{command[0]}: not found"


@contextlib.contextmanager
def step(title):
    """One line a step: what it does, then the seconds it took."""
    say(f"  {title} ...", end="")
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        say(" failed")
        raise
    say(f" {time.monotonic() - begin:.1f} s")


def explain_fetch(what, output):
    """The error of a failed fetch: no network gets the air-gap recipe, the rest gets its own words."""
    if any(word in output.lower() for word in NO_NETWORK_WORDS):
        return StopError(
            f"{what} could not be fetched: no network, or no package index can be reached.\n{AIR_GAP}",
            3,
        )
    tail = "\n".join("      " + line for line in output.strip().splitlines()[-12:])
    return StopError(f"{what} could not be installed (all of it: var/setup.log):\n{tail}", 3)


# ------------------------------------------------------------------------------------- set-up


def require_python():
    """Continues under a Python that is new enough, looking for one where this one is not."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    for minor in range(15, OLDEST_PYTHON[1] - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])
    raise StopError(
        "Python {}.{} or newer is needed; this is {} and no newer one is on PATH.".format(
            *OLDEST_PYTHON, platform.python_version()
        ),
        2,
    )


def require_node():
    """The version of node, once it and npm are known to be there and new enough."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise StopError(f"{program} is not on PATH; Node {OLDEST_NODE} or newer is needed.", 2)
    code, output = run_logged(["node", "--version"])
    version = output.strip().lstrip("v")
    major = version.split(".", 1)[0]
    if code or not major.isdigit():
        raise StopError(f"node --version did not work: {output.strip()}", 2)
    if int(major) < OLDEST_NODE:
        raise StopError(f"Node {OLDEST_NODE} or newer is needed; this is {version}.", 2)
    return version


def ensure_venv(identity):
    """A virtual environment made by this Python at this place; anything else is made anew."""
    stamp = VENV / ".stamp-venv"
    if stamped(stamp, identity) and PYTHON.exists():
        return
    with step("virtual environment .venv"):
        base = getattr(sys, "_base_executable", None) or sys.executable
        code, output = run_logged([base, "-m", "venv", "--clear", VENV])
        if code:
            hint = ""
            if "ensurepip" in output:
                hint = "\n      (on Debian and Ubuntu the package python3-venv is missing)"
            tail = output.strip().splitlines()[-1:] or [""]
            raise StopError(f"the virtual environment could not be made: {tail[0]}{hint}", 2)
        stamp.write_text(identity)


def ensure_packages(identity):
    """Every Python package at the locked version and hash; uv for speed, pip where uv cannot."""
    stamp = VENV / ".stamp-packages"
    wanted = digest(LOCK, UV_LOCK, identity)
    if stamped(stamp, wanted):
        return
    local = ["--no-index", "--find-links", WHEELS] if WHEELS.is_dir() else []
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--require-hashes", *local]
    with step("the installer uv, checked by hash"):
        # Few retries: an index that is not there must be said soon.
        code, output = run_logged([*pip, "--retries", "1", "--timeout", "20", "-r", UV_LOCK])
        if code:
            raise explain_fetch("the installer (uv)", output)
    with step(f"Python packages ({count_pins(LOCK)}, by hash)"):
        uv = [BIN / "uv", "pip", "sync", "--quiet", "--python", PYTHON, "--require-hashes"]
        code, output = run_logged([*uv, *local, LOCK, UV_LOCK])
        if code:
            # uv does not read pip's settings: a mirror that only pip knows is reached by pip.
            code, more = run_logged([*pip, "-r", LOCK])
            output += more
        if code:
            raise explain_fetch("the Python packages", output)
    stamp.write_text(wanted)


def count_pins(lock):
    return sum("==" in line and not line.startswith((" ", "#")) for line in lock.open())


def ensure_npm(node_version):
    """Every npm package by its integrity; no install script runs."""
    stamp = NODE_MODULES / ".stamp-packages"
    wanted = digest(ROOT / "package.json", ROOT / "package-lock.json", node_version.split(".")[0])
    if stamped(stamp, wanted):
        return
    with step("npm packages (compiler, forge, anvil)"):
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        if NPM_CACHE.is_dir():
            command += ["--offline", "--cache", NPM_CACHE]
        code, output = run_logged(command, npm_config_fetch_retries="1")
        if code:
            raise explain_fetch("the npm packages", output)
    stamp.write_text(wanted)


def ensure_deep():
    """``.venv-deep``: halmos and Slither, whose own packages are not the product's."""
    stamp = DEEP_VENV / ".stamp-packages"
    wanted = digest(DEEP_LOCK, str(ROOT))
    if stamped(stamp, wanted):
        return
    local = ["--no-index", "--find-links", WHEELS] if WHEELS.is_dir() else []
    with step(f"the tools of the long proofs ({count_pins(DEEP_LOCK)}, by hash)"):
        base = getattr(sys, "_base_executable", None) or sys.executable
        code, output = run_logged([base, "-m", "venv", "--clear", DEEP_VENV])
        if not code:
            pip = [DEEP_VENV / BIN.name / PYTHON.name, "-m", "pip", "install", "--quiet"]
            pip += ["--disable-pip-version-check", "--require-hashes", *local]
            code, output = run_logged([*pip, "-r", DEEP_LOCK])
        if code:
            raise explain_fetch("the tools of the long proofs", output)
    stamp.write_text(wanted)


def ensure_command():
    """``.venv/bin/yundan``, and the checkout on the environment's path."""
    site = next(VENV.glob("lib/python3.*/site-packages"), VENV / "Lib" / "site-packages")
    files = {
        site / "yundan.pth": f"{ROOT}\n",
        BIN / "yundan": (
            f"#!{PYTHON}\n"
            '"""The yundan command."""\n'
            "import sys\n\n"
            "from deploy.cli import main\n\n"
            "sys.exit(main())\n"
        ),
    }
    for path, content in files.items():
        if not path.is_file() or path.read_text() != content:
            path.write_text(content)
    (BIN / "yundan").chmod(0o755)


def foundry(program):
    """The path of forge or anvil: the npm package of this machine, else one on PATH."""
    machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    arch = machine.get(platform.machine().lower(), platform.machine().lower())
    suffix = ".exe" if os.name == "nt" else ""
    system = {"windows": "win32"}.get(platform.system().lower(), platform.system().lower())
    packaged = (
        NODE_MODULES / "@foundry-rs" / f"{program}-{system}-{arch}" / "bin" / (program + suffix)
    )
    found = packaged if packaged.is_file() else shutil.which(program)
    if not found:
        raise StopError(
            f"{program} is neither in @foundry-rs/{program}-{system}-{arch} nor on PATH;"
            " install Foundry 1.7 for this machine and run again.",
            2,
        )
    return str(found)


def ensure_contracts():
    """The compiled contracts in ``cache/solc``, as the product itself uses them (forge builds its own)."""
    sources = sorted((ROOT / "contracts").rglob("*.sol"))
    if not sources:
        return
    stamp = ROOT / "cache" / ".stamp-contracts"
    compiler = [ROOT / "chain" / "compiler.py", ROOT / "chain" / "solc-npm"]
    wanted = digest(ROOT / "foundry.toml", ROOT / "package-lock.json", *compiler, *sources)
    if stamped(stamp, wanted):
        return
    with step(f"contracts ({len(sources)} files)"):
        program = "import pathlib, chain.compiler as c; c.compile_contracts(pathlib.Path.cwd())"
        code, output = run_logged([PYTHON, "-c", program])
        if code:
            tail = "\n".join("      " + line for line in output.strip().splitlines()[-20:])
            raise StopError(f"the contracts do not compile:\n{tail}", 1)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(wanted)


@contextlib.contextmanager
def one_at_a_time():
    """Two set-ups in one checkout take turns, by a lock that dies with its process."""
    LOG.parent.mkdir(exist_ok=True)
    with (LOG.parent / ".setup.lock").open("w") as handle:
        with contextlib.suppress(ImportError):
            import fcntl  # noqa: PLC0415  not on every system

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def setup():
    """A checkout in which everything can run; nothing that is up to date is touched."""
    require_python()
    begin = time.monotonic()
    say("set-up")
    with one_at_a_time():
        if LOG.is_file() and LOG.stat().st_size > 1_000_000:
            LOG.unlink()
        node_version = require_node()
        # An environment is bound to its interpreter and its place: a moved checkout makes a new one.
        identity = digest(str(ROOT), "{}.{}".format(*sys.version_info[:2]), platform.machine())
        ensure_venv(identity)
        ensure_packages(identity)
        ensure_npm(node_version)
        ensure_command()
        ensure_contracts()
    say(f"  ready in {time.monotonic() - begin:.1f} s")


# -------------------------------------------------------------------------------------- gates


def tool_env(**extra):
    """The environment of a gate: our own programs first on PATH."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    return dict(os.environ, PATH=path, VIRTUAL_ENV=str(VENV), FOUNDRY_OFFLINE="true", **extra)


def run_gates(gates):
    """Runs every gate even after one failed, then says all results in one table."""
    results = []
    for name, command, env in gates:
        say(f"\n=== {name}")
        begin = time.monotonic()
        code = subprocess.run(
            list(map(str, command)), cwd=str(ROOT), env=tool_env(**env), check=False
        ).returncode
        results.append((name, code, time.monotonic() - begin))
    say("\nsummary")
    for name, code, seconds in results:
        say(f"  {'ok    ' if code == 0 else 'FAILED'}  {name:<48} {seconds:7.1f} s")
    if any(code for _, code, _ in results):
        raise StopError("at least one gate failed", 1)


def pytest_command(*extra):
    workers = str(min(os.cpu_count() or 1, 4))
    return [PYTHON, "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile", *extra]


def test():
    """Every test: Foundry, then pytest without the long runs."""
    setup()
    forge = foundry("forge")
    run_gates(
        [
            ("contracts: forge test", [forge, "test", "--deny", "warnings"], {}),
            ("Python: pytest", pytest_command("-m", "not deep"), {}),
        ]
    )


def test_deep():
    """The long runs: more fuzzing, deeper invariants, proofs, mutants, and the tests marked deep."""
    setup()
    ensure_deep()
    fuzz = [foundry("forge"), "test", "--no-match-test", "invariant"]
    run_gates(
        [
            ("contracts: forge test, deep", fuzz, {"FOUNDRY_PROFILE": "deep"}),
            *(
                (f"contracts: {what}", [PYTHON, "-m", "tests.contracts.deep", what], {})
                for what in ("invariants", "proofs", "slither", "echidna", "mutants", "peer")
            ),
            (
                "money's core: mutation score",
                [PYTHON, "-m", "tests.unit.finance.mutants"],
                {},
            ),
            ("Python: pytest, all", pytest_command(), {}),
        ]
    )


def check():
    """Every habit that a tool can see."""
    setup()
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=str(ROOT), stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    # Locks are made of hashes, and shipped tracks of digits: no secret hides there.
    skipped = (".lock", "-lock.json", ".csv", ".svg", "uv.requirements.txt", ".secrets.baseline")
    readable = [name for name in tracked.split("\0") if name and not name.endswith(skipped)]
    secrets = [BIN / "detect-secrets-hook", "--baseline", ".secrets.baseline", *readable]
    solhint = ["node", NODE_MODULES / "solhint" / "solhint.js", "--max-warnings", "0"]
    with tempfile.TemporaryDirectory() as folder:
        # An empty database, migrated, must equal the models.
        alembic = [BIN / "alembic", "-x", f"url=sqlite:///{folder}/migrated.db"]
        run_gates(
            [
                ("ruff format", [BIN / "ruff", "format", "--check", "."], {}),
                ("ruff check", [BIN / "ruff", "check", "."], {}),
                ("mypy --strict", [BIN / "mypy"], {}),
                ("import-linter", [BIN / "lint-imports"], {}),
                ("forge fmt", [foundry("forge"), "fmt", "--check"], {}),
                ("solhint", [*solhint, "contracts/**/*.sol"], {}),
                ("detect-secrets", secrets, {}),
                ("bindings up to date", [PYTHON, "-m", "chain.codegen", "--check"], {}),
                ("migrations run", [*alembic, "upgrade", "head"], {}),
                ("migrations up to date", [*alembic, "check"], {}),
            ]
        )


def demo():
    """Set-up, then the story; SERVE=0 ends after it."""
    setup()
    command = [str(BIN / "yundan"), "demo"]
    if os.environ.get("SERVE", "1") == "0":
        command.append("--no-serve")
    sys.stdout.flush()
    os.chdir(str(ROOT))
    os.execvpe(command[0], command, tool_env())


COMMANDS = {"setup": setup, "demo": demo, "test": test, "test-deep": test_deep, "check": check}


def main(arguments):
    name = arguments[0] if arguments else "setup"
    if len(arguments) > 1 or name not in COMMANDS:
        say("usage: python3 deploy/up.py [{}]".format("|".join(COMMANDS)))
        return 2
    try:
        COMMANDS[name]()
    except StopError as stop:
        say(f"{name}: {stop}")
        return stop.code
    except KeyboardInterrupt:
        say("\nstopped; run the same command again to go on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
