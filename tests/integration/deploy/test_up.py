"""The bootstrap, run as a program in a bare copy of the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
COPIED = (
    "deploy/up.py", "deploy/uv.requirements.txt", "requirements.lock", "package.json",
    "package-lock.json", "foundry.toml",
)  # fmt: skip


@pytest.fixture
def bare(tmp_path):
    for name in COPIED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "deploy" / "up.py"), *arguments],
        cwd="/",
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_no_network_is_one_clear_line_and_a_recipe(bare):
    """An index where nobody listens is what a machine without a network sees."""
    nowhere = "http://127.0.0.1:9/"
    done = run(
        bare, "setup",
        PIP_INDEX_URL=nowhere, PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="", PIP_CONFIG_FILE=os.devnull,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("setup:")]
    assert said == [
        "setup: the installer (uv) could not be fetched: no network, or no package index can be reached."
    ]
    assert "pip download --require-hashes -r requirements.lock -d wheels" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "pip install" in (bare / "var" / "setup.log").read_text()


def test_an_unknown_command_says_which_there_are(bare):
    done = run(bare, "everything")
    assert done.returncode == 2
    assert "setup|demo|test|test-deep|check" in done.stdout


def test_without_node_it_says_so(bare):
    done = run(bare, "setup", PATH=str(bare))
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == "setup: node is not on PATH; Node 20 or newer is needed."


def test_an_old_python_without_a_newer_one_is_told(bare):
    program = (
        "import sys, runpy; sys.version_info = (3, 9, 0, 'final', 0);"
        f"sys.argv = ['up.py', 'setup']; runpy.run_path({str(bare / 'deploy' / 'up.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Python 3.11 or newer is needed" in done.stdout


def test_a_second_set_up_does_nothing_and_is_quick():
    """In this very checkout, which is set up: every stamp holds."""
    if not (ROOT / ".venv" / ".stamp-packages").is_file():
        pytest.skip("this checkout was not set up by deploy/up.py")
    done = run(ROOT, "setup")
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "set-up"
    assert lines[-1].startswith("  ready in ")
