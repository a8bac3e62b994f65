"""What is kept of a local node's state, whatever a kill leaves of the file."""

from __future__ import annotations

import json
import os

import pytest

from deploy.node import COPIES, NodeFiles, NodeNotFoundError, find_anvil

WHOLE = json.dumps({"block": {"number": 7}, "accounts": {}})


@pytest.fixture
def files(tmp_path):
    return NodeFiles(tmp_path)


def write(files, text, at):
    files.state.write_text(text)
    os.utime(files.state, ns=(at, at))


@pytest.mark.parametrize("damage", ["", "{", WHOLE[: len(WHOLE) // 2], "[]", "{}", "null"])
def test_a_damaged_state_falls_back_to_the_newest_good_copy(files, damage):
    write(files, WHOLE.replace("7", "8"), 1_000)
    assert files.keep_good_copy()
    write(files, WHOLE.replace("7", "9"), 2_000)
    assert files.keep_good_copy()
    write(files, damage, 3_000)
    assert not files.keep_good_copy()
    assert files.repair() == "restored"
    assert json.loads(files.state.read_text())["block"]["number"] == 9


def test_a_whole_state_is_left_alone(files):
    write(files, WHOLE, 1_000)
    assert files.repair() == "whole"
    assert files.state.read_text() == WHOLE


def test_nothing_good_means_the_chain_starts_anew(files):
    assert files.repair() == "lost"
    write(files, "{", 1_000)
    assert files.repair() == "lost"
    assert not files.state.exists()


def test_only_the_newest_copies_are_kept(files):
    for at in range(1, 8):
        write(files, WHOLE, at * 10**9)
        assert files.keep_good_copy()
    assert not files.keep_good_copy()  # the same file twice is one copy
    assert len(files.copies()) == COPIES
    assert files.copies()[0].name == f"state.good.{7 * 10**9}.json"


def test_a_machine_without_anvil_is_told_what_to_do(monkeypatch, tmp_path):
    import deploy.node

    monkeypatch.setattr(deploy.node, "ROOT", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(NodeNotFoundError, match="make setup"):
        find_anvil()
