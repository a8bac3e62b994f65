"""Every shared frame and sentence, in every field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tracking import jt808, nmea
from tracking.decode import decode_lines

VECTORS = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "tracking"

pytestmark = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="needs ../shared/vectors/tracking beside the checkout"
)


def rows(name):
    if not VECTORS.is_dir():
        return []
    with (VECTORS / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def frames(*expected):
    return [
        pytest.param(row, id=row["id"])
        for row in rows("jt808_frames.jsonl")
        if row["expect"] in expected
    ]


HEADER = ("message_id", "terminal_phone", "protocol_version", "version_byte", "serial", "body_len")
BODY = ("subpackage", "register", "auth", "ack", "register_ack", "reply_seq")
BATCH = ("batch_count", "batch_type")


@pytest.mark.parametrize("row", frames("ok", "fix_ok_items_bad"))
def test_a_good_frame_is_decoded_right_in_every_field(row):
    (got,) = decode_lines([row["hex"]], "jt808")
    assert got["ok"] is True
    for name in HEADER + BODY + BATCH:
        if name in row:
            assert got[name] == row[name], name
    assert got["fixes"] == row["fixes"]
    assert "fixes_refused" not in got


@pytest.mark.parametrize("row", frames("reject"))
def test_a_bad_frame_is_refused_with_the_code_of_its_fault(row):
    got = list(decode_lines([row["hex"]], "jt808"))
    if row["reject_reason"] == "flag_inside":  # a stream holds two good frames there
        assert [one["message_id"] for one in got] == ["0x0002", "0x0100"]
        return
    assert [(one["ok"], one["error"]) for one in got] == [(False, row["reject_reason"])]


@pytest.mark.parametrize("row", frames("frame_ok_body_reject"))
def test_a_bad_body_is_refused_and_the_header_still_told(row):
    (got,) = decode_lines([row["hex"]], "jt808")
    assert (got["ok"], got["error"], got["fixes"]) == (False, row["reject_reason"], [])
    assert got["message_id"] == row["message_id"]
    assert got["terminal_phone"]


@pytest.mark.parametrize("row", frames("fix_invalid"))
def test_an_invalid_fix_never_counts_as_a_position(row):
    (got,) = decode_lines([row["hex"]], "jt808")
    assert got["ok"] is True  # the message itself is accepted
    if row["reject_reason"] == "invalid_time":
        assert got["fixes"] == []
        assert got["fixes_refused"] == [{"index": 0, "error": "invalid_time"}]
    else:
        (fix,) = got["fixes"]
        assert not (fix["valid"] and fix["range_ok"])


@pytest.mark.parametrize("row", frames("two_frames"))
def test_two_frames_on_a_line_give_two_objects(row):
    got = list(decode_lines([row["hex"]], "jt808"))
    assert [one["terminal_phone"] for one in got] == row["expect_phones"]
    assert all(one["ok"] and one["line"] == 1 for one in got)


@pytest.mark.parametrize("row", [pytest.param(r, id=r["id"]) for r in rows("jt808_streams.jsonl")])
def test_a_stream_gives_its_frames_in_order_whatever_the_chunking(row):
    data = b"".join(bytes.fromhex(chunk) for chunk in row["chunks"])
    for size in (None, 1, 2, 7, 64, len(data)):
        chunks = (
            [bytes.fromhex(chunk) for chunk in row["chunks"]]
            if size is None
            else [data[i : i + size] for i in range(0, len(data), size)]
        )
        splitter = jt808.Splitter()
        payloads = [payload for chunk in chunks for payload in splitter.feed(chunk)]
        good = [p for p in payloads if not isinstance(jt808.parse_frame(p), jt808.Refusal)]
        assert [f"7e{payload.hex()}7e" for payload in good] == row["expect_frames"]


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=r["id"]) for r in rows("jt808_subpackages.jsonl")]
)
def test_pieces_come_together_in_any_order(row):
    got = list(decode_lines(row["frames"], "jt808"))
    assert all(one["ok"] for one in got)
    assert [fix for one in got for fix in one["fixes"]] == row["fixes"]
    assert sum("reassembled" in one for one in got) == (row["expect"] == "ok")


@pytest.mark.parametrize("row", [pytest.param(r, id=r["id"]) for r in rows("nmea_sentences.jsonl")])
def test_a_sentence_is_decoded_right_or_refused_with_its_code(row):
    (got,) = decode_lines([row["sentence"]], "nmea")
    if row["expect"] == "reject":
        assert (got["ok"], got["error"]) == (False, row["reject_reason"])
        return
    assert got["ok"] is True
    for name, value in row["decode"].items():
        expected = pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
        assert got[name] == expected, name


def test_a_bad_line_never_stops_the_others():
    good = next(row for row in rows("jt808_frames.jsonl") if row["expect"] == "ok")
    lines = ["", "zz", "7e", good["hex"].upper(), "abc", "7e7e", "7e" + "00" * 40_000, good["hex"]]
    got = list(decode_lines(lines, "jt808"))
    assert [one.get("error") for one in got] == [
        "empty_line", "bad_hex", "too_short", None, "bad_hex", "too_short", "line_too_long", None,
    ]  # fmt: skip
    assert [one["line"] for one in got] == list(range(1, 9))


def test_fixes_of_a_log_carry_altitude_and_satellites():
    log = [row["sentence"] for row in rows("nmea_sentences.jsonl") if row["expect"] == "ok"]
    fixes = [fix for fix in nmea.read_fixes(log) if not isinstance(fix, nmea.SentenceRefusal)]
    assert fixes
    assert all(abs(fix.lat_e6) <= 90_000_000 and fix.time > 1_000_000_000 for fix in fixes)
