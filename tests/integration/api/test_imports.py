"""20,000 waybills at once: every bad cell named, all or only the good rows, never half a row, resumed."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import pytest
import python_calamine
import xlsxwriter

from api import bulk_runner
from api.bulk.columns import COLUMNS
from api.bulk.jobs import CLAIM
from api.bulk.table import CSV, EXCEL, TableRefusedError, read_table
from api.bulk_runner import run_job, run_jobs
from api.client import ClientError
from tests.integration.api.test_waybills import window


@pytest.fixture(scope="module", autouse=True)
def road(firms):
    from tests.integration.api.system import plan

    firms["carrier"].post(
        "/v1/routes", {"name": "N-W", "origin": "北站", "destination": "西站", "plan": plan()}
    )


def rows_of(system, firms, note, count=1):
    """Chains of root and leaf: carrier orders, haulier carries, in the caller's (carrier's) name."""
    base = {
        "consignee": firms["consignee"].party, "goods": "糖", "quantity_milli": 12_000, "term_days": 30,
        **window(system),
    }  # fmt: skip
    made = []
    for number in range(count):
        shipping = {"shipping_note": f"{note}-{number}"}
        made.append(base | shipping | {
            "ref": f"{number}-root", "issuer": firms["consignor"].party, "performer": firms["carrier"].party,
            "freight_fen": 120_000,
        })  # fmt: skip
        made.append(base | shipping | {
            "ref": f"{number}-leaf", "parent_ref": f"{number}-root", "issuer": firms["carrier"].party,
            "performer": firms["driver"].party, "freight_fen": 100_000, "serial": "0101", "plate": "苏A·4F738",
            "terminal": "13800014733", "route": "N-W",
        })  # fmt: skip
    return made


def as_csv(rows, columns=None):
    out = io.StringIO()
    columns = columns or sorted({name for row in rows for name in row})
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    writer.writerows({name: str(value) for name, value in row.items()} for row in rows)
    return out.getvalue().encode()


def as_excel(rows, write=None, header=None):
    out = io.BytesIO()
    columns = sorted({name for row in rows for name in row})
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, header or columns)
        for at, row in enumerate(rows, 1):
            for column, name in enumerate(columns):
                value = row.get(name)
                if isinstance(value, int) and value < 10**15:
                    sheet.write_number(at, column, value)
                elif value is not None:
                    sheet.write_string(at, column, str(value))
        if write:
            write(book, sheet, columns)
    return out.getvalue()


def send(firm, content, kind=CSV, **query):
    path = "/v1/jobs/imports"
    if query:
        from urllib.parse import urlencode

        path += "?" + urlencode(query)
    return firm.post_file(path, content, content_type=kind)


def finish(system, firm, job):
    run_jobs(system.container)
    return firm.get(f"/v1/jobs/{job['id']}")


def count(system):
    with system.container.read() as services:
        return len(
            services.records.list_waybills(party=None, stage=None, before=None, limit=100_000)
        )


@pytest.mark.parametrize(("write", "kind"), [(as_csv, CSV), (as_excel, EXCEL)])
def test_a_file_becomes_waybills_with_their_parents(system, firms, write, kind):
    carrier, note = firms["carrier"], f"IM-{kind[-5:]}"
    job = finish(system, carrier, send(carrier, write(rows_of(system, firms, note, 3)), kind))
    assert (job["state"], job["written"], job["bad"]) == ("done", 6, 0), job
    taken = carrier.get(f"/v1/jobs/{job['id']}/waybills")["data"]
    by_ref = {one["ref"]: one["waybill"] for one in taken}
    leaf = carrier.get(f"/v1/waybills/{by_ref['2-leaf']}")
    assert leaf["parent"] == by_ref["2-root"]
    assert (leaf["freight_fen"], leaf["papers"]["plate"], leaf["stage"]) == (
        100_000,
        "苏A·4F738",
        "draft",
    )
    firms["driver"].sign_waybill(leaf["id"])


def test_the_regulators_names_and_units_are_understood(system, firms):
    carrier = firms["carrier"]
    header = ["托运单号", "托运人", "实际承运人名称", "收货方名称", "货物名称", "货物项毛重", "运费金额", "装货时间",
              "收货时间", "业务员"]  # fmt: skip
    row = ["IM-REG", "consignor公司", "carrier公司", str(firms["consignee"].party), "糖", "12,000.00", "1234.56",
           "20260127080000", "2026-01-27 20:30"]  # fmt: skip
    content = "\n".join([",".join(header), ",".join(f'"{cell}"' for cell in [*row, "王"])]).encode(
        "gb18030"
    )
    job = send(
        carrier, content, "text/csv; charset=gb18030",
        mapping=json.dumps({"业务员": ""}), defaults=json.dumps({"账期(天)": "45"}),
    )  # fmt: skip
    job = finish(system, carrier, job)
    assert (job["state"], job["written"]) == ("done", 1), carrier.get(
        f"/v1/jobs/{job['id']}/faults"
    )
    (one,) = carrier.get(f"/v1/jobs/{job['id']}/waybills")["data"]
    shown = carrier.get(f"/v1/waybills/{one['waybill']}")
    assert (shown["freight_fen"], shown["quantity_milli"], shown["term_days"]) == (
        123_456,
        12_000,
        45,
    )
    assert (shown["load_from"], shown["deliver_by"]) == (
        "2026-01-27T00:00:00Z",
        "2026-01-27T12:30:00Z",
    )
    assert shown["issuer"] == f"pty_{firms['consignor'].party}"


def test_every_bad_cell_is_named_and_nothing_is_written(system, firms):
    rows = rows_of(system, firms, "IM-BAD", 3)
    rows[0]["freight_fen"] = "8,640.005"
    rows[2]["goods"] = "a\u202eb"
    rows[3]["plate"] = ""
    rows[4]["performer"] = "没有这家公司"
    rows[5]["shipping_note"] = "another"
    before = count(system)
    carrier = firms["carrier"]
    job = finish(system, carrier, send(carrier, as_csv(rows)))
    assert (job["state"], job["code"], job["written"], job["bad"]) == ("done", "rows_refused", 0, 6)
    assert count(system) == before
    faults = carrier.get(f"/v1/jobs/{job['id']}/faults")["data"]
    columns = sorted({name for row in rows for name in row})
    told = {(one["row"], one["column"]): one for one in faults}
    assert told[2, "freight_fen"]["cell"] == f"{chr(65 + columns.index('freight_fen'))}2"
    assert "not a whole number" in told[2, "freight_fen"]["message"]
    assert "U+202E" in told[4, "goods"]["message"]
    assert "plate is missing" in told[5, ""]["message"]
    assert told[6, "performer"]["code"] == "party_name"
    assert told[3, "parent_ref"]["code"] == told[7, "parent_ref"]["code"] == "parent_refused"


def test_only_the_good_rows_by_choice_and_the_rest_corrected_and_sent_again(system, firms):
    carrier, rows = firms["carrier"], rows_of(system, firms, "IM-GOOD", 2)
    rows[2]["quantity_milli"] = -1
    job = finish(system, carrier, send(carrier, as_excel(rows), EXCEL, mode="good"))
    assert (job["written"], job["bad"]) == (2, 2)
    auth = {"Authorization": f"Bearer {carrier._token}"}
    back = system.http.get(job["files"][0], headers=auth)
    book = python_calamine.load_workbook(io.BytesIO(back.content))
    header, *bad = book.get_sheet_by_index(0).to_python()
    assert (header[-1], len(bad)) == ("错误", 2)
    assert "quantity_milli" in bad[0][-1]
    at = header.index("quantity_milli")
    fixed = [dict(zip(header, row, strict=True)) for row in bad]
    fixed[0]["quantity_milli"] = 12_000
    assert bad[0][at] in (-1, "-1")
    again = finish(system, carrier, send(carrier, as_excel(fixed), EXCEL))
    assert (again["written"], again["bad"]) == (2, 0), carrier.get(f"/v1/jobs/{again['id']}/faults")


def test_a_dry_run_checks_everything_and_writes_nothing(system, firms):
    before, carrier = count(system), firms["carrier"]
    job = finish(
        system, carrier, send(carrier, as_csv(rows_of(system, firms, "IM-DRY", 2)), dry_run="true")
    )
    assert (job["good"], job["written"], job["is_dry_run"]) == (4, 0, True)
    assert count(system) == before


def test_a_template_is_read_back_with_every_column(system, firms):
    auth = {"Authorization": f"Bearer {firms['carrier']._token}"}
    for form, names in (("xlsx", "zh"), ("csv", "en")):
        got = system.http.get(f"/v1/jobs/import_template?format={form}&names={names}", headers=auth)
        table = got.content + (b"x\r\n" if form == "csv" else b"")
        if form == "xlsx":
            (header,) = (
                python_calamine.load_workbook(io.BytesIO(table)).get_sheet_by_index(0).to_python()
            )
        else:
            header = read_table(table, CSV).header
        assert list(header) == [one.zh if names == "zh" else one.field for one in COLUMNS]


def test_what_is_exported_says_what_was_agreed(system, firms):
    carrier = firms["carrier"]
    job = finish(
        system, carrier, carrier.post("/v1/jobs/exports", {"format": "xlsx", "stage": "draft"})
    )
    auth = {"Authorization": f"Bearer {carrier._token}"}
    got = system.http.get(f"/v1/jobs/{job['id']}/result", headers=auth)
    header, *rows = (
        python_calamine.load_workbook(io.BytesIO(got.content)).get_sheet_by_index(0).to_python()
    )
    assert (header[:2], len(rows)) == (["托运单号", "分段分单号"], job["total"])
    leaf = next(row for row in rows if row[1] == "0101")
    assert (leaf[header.index("运费金额")], leaf[header.index("货物项毛重")]) == ("1000.00", 12_000)
    job = finish(system, carrier, carrier.post("/v1/jobs/exports", {"format": "csv"}))
    text = system.http.get(f"/v1/jobs/{job['id']}/result", headers=auth).content.decode("utf-8-sig")
    assert text.startswith("托运单号,")


def test_nobody_else_sees_a_job(system, firms):
    job = send(firms["carrier"], as_csv(rows_of(system, firms, "IM-SEE")))
    for path in ("", "/faults", "/waybills", "/corrections", "/result", "/events"):
        with pytest.raises(ClientError) as refused:
            firms["stranger"].get(f"/v1/jobs/{job['id']}{path}")
        assert refused.value.status == 404, path
    with pytest.raises(ClientError) as refused:
        firms["stranger"].post(f"/v1/jobs/{job['id']}/cancel")
    assert refused.value.status == 404
    gone = firms["carrier"].post(f"/v1/jobs/{job['id']}/cancel")
    assert gone["state"] == "cancelled"
    assert finish(system, firms["carrier"], job)["state"] == "cancelled"


def test_progress_is_told_while_it_happens(system, firms):
    carrier = firms["carrier"]
    job = send(carrier, as_csv(rows_of(system, firms, "IM-SSE")))
    run_jobs(system.container)
    auth = {"Authorization": f"Bearer {carrier._token}"}
    with system.http.stream("GET", f"/v1/jobs/{job['id']}/events", headers=auth) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = "".join(stream.iter_text())
    assert "event: end" in told
    assert '"written":2' in told.replace(" ", "")


def test_a_process_that_dies_leaves_nothing_and_the_next_begins_anew(system, firms, monkeypatch):
    carrier, before = firms["carrier"], count(system)
    job = send(carrier, as_csv(rows_of(system, firms, "IM-DIE", 2)))

    class Died(BaseException):
        pass

    wall = ShiftedClock(system.container.wall)
    monkeypatch.setattr(system.container, "wall", wall)
    for place in ("_check", "_write"):
        with monkeypatch.context() as patch:

            def die(*_args):
                raise Died

            patch.setattr(bulk_runner, place, die)
            with system.container.write() as services:
                claimed = services.jobs.claim()
            assert claimed.id == job["id"]
            with pytest.raises(Died):
                run_job(system.container, claimed)
        assert count(system) == before
        assert run_jobs(system.container) == 0  # its claim has not run out
        wall.shift += CLAIM * 2
    assert run_jobs(system.container) == 1
    assert carrier.get(f"/v1/jobs/{job['id']}")["written"] == 4
    assert count(system) == before + 4


class ShiftedClock:
    def __init__(self, real):
        self.real, self.shift = real, CLAIM * 0

    def now(self):
        return self.real.now() + self.shift


def test_rows_that_stand_on_what_changed_are_checked_anew(system, firms, monkeypatch):
    """Between the check and the writing somebody else takes a trip of the file."""
    carrier, rows = firms["carrier"], rows_of(system, firms, "IM-RACE")
    first = send(carrier, as_csv(rows))
    second = send(carrier, as_csv(rows), mode="good")
    with system.container.write() as services:
        one = services.jobs.claim()
    real = bulk_runner._write
    raced = []

    def race(container, job, table, checked):
        if not raced:
            raced.append(job.id)
            run_jobs(container)  # the second file is written here
        return real(container, job, table, checked)

    monkeypatch.setattr(bulk_runner, "_write", race)
    run_job(system.container, one)
    assert carrier.get(f"/v1/jobs/{second['id']}")["written"] == 2
    shown = carrier.get(f"/v1/jobs/{first['id']}")
    assert (shown["code"], shown["written"], shown["bad"]) == ("rows_refused", 0, 1)
    (fault,) = carrier.get(f"/v1/jobs/{first['id']}/faults")["data"]
    assert "has a waybill already" in fault["message"]


# -- files that hurt ----------------------------------------------------------------------------------


def zipped(**parts):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), content)
    return out.getvalue()


BOOK = '<workbook xmlns:r="r"><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets></workbook>'
RELS = '<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>'


def raw_sheet(body):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", BOOK)
        archive.writestr("xl/_rels/workbook.xml.rels", RELS)
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            for piece in body:
                part.write(piece)
    return out.getvalue()


def ten_million_empty_rows():
    yield b"<worksheet><sheetData>"
    for first in range(0, 10_000_000, 100_000):
        yield b"".join(b'<row r="%d"/>' % (first + n + 1) for n in range(100_000))
    yield b"</sheetData></worksheet>"


def bomb():
    yield b"<worksheet><sheetData>"
    for _ in range(300):
        yield b"<row></row>" + b" " * 1_000_000
    yield b"</sheetData></worksheet>"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: raw_sheet(ten_million_empty_rows()), "unpacks to more than"),
        (lambda: raw_sheet(bomb()), "unpacks to more than"),
        (lambda: raw_sheet([b'<worksheet><sheetData><row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData></worksheet>']), "something stands in row 1048576"),
        (lambda: raw_sheet([b"<worksheet><sheetData>"]), "no XML"),
        (lambda: raw_sheet([b'<!DOCTYPE a [<!ENTITY b "c">]><worksheet/>']), "entities"),
        (lambda: zipped(a="b"), "no .xlsx"),
        (lambda: b"PK\x03\x04" + b"\0" * 100, "no .xlsx"),
        (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "old .xls"),
        (lambda: as_excel([{"a": 1}], lambda _b, s, _c: s.merge_range("A1:B1", "title")), "merged"),
        (lambda: b"\xff\xfe\x00", "is not utf-8 text"),
        (lambda: b'a,b\n"x', "line"),
        (lambda: b"\n\n", "empty"),
        (lambda: b"a,b\n", "no rows"),
        (lambda: b"a\n" + b"1\n" * 20_001, "at most 20000 rows"),
        (lambda: ("," * 150).encode() + b"a\nb\n", "needs a name|at most"),
    ],
    ids=["empty-rows", "zip-bomb", "far-cell", "torn", "entities", "other-zip", "torn-zip", "xls", "merged-header",
         "charset", "torn-csv", "empty", "header-only", "too-many", "too-wide"],
)  # fmt: skip
def test_a_file_that_hurts_is_refused_in_words_and_the_process_lives(make, says):
    with pytest.raises(TableRefusedError, match=says):
        read_table(make(), CSV)


def test_formulas_merged_cells_and_numbers_for_dates_are_named(system, firms):
    rows = rows_of(system, firms, "IM-XL", 2)

    def write(_book, sheet, columns):
        sheet.write_formula(1, columns.index("freight_fen"), "=60000*2", None, 120_000)
        sheet.write_number(3, columns.index("load_from"), 46_048.66)
        sheet.write_number(4, columns.index("shipping_note"), 1234567890123456789)
        goods = columns.index("goods")
        sheet.merge_range(1, goods, 2, goods, "糖")

    carrier = firms["carrier"]
    job = finish(system, carrier, send(carrier, as_excel(rows, write), EXCEL))
    told = {
        (one["row"], one["column"]): one["message"]
        for one in carrier.get(f"/v1/jobs/{job['id']}/faults")["data"]
    }
    assert "formula" in told[2, "freight_fen"]
    assert "merged" in told[2, "goods"]
    assert "number, not a date" in told[4, "load_from"]
    assert "format the cell as text" in told[5, "shipping_note"]
    assert job["written"] == 0
    sneaky = rows_of(system, firms, "IM-XQ")
    sneaky[0]["goods"] = '=HYPERLINK("http://evil")'
    job = finish(system, carrier, send(carrier, as_csv(sneaky)))
    assert "formula" in carrier.get(f"/v1/jobs/{job['id']}/faults")["data"][0]["message"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"mapping": "[]"}, "mapping"),
        ({"mapping": '{"a": 1}'}, "mapping"),
        ({"mapping": "[" * 3000}, "mapping"),
        ({"mode": "most"}, "mode"),
        ({"defaults": '{"a": "\\u0000"}'}, "defaults"),
    ],
)
def test_a_wrong_question_is_told_before_there_is_a_job(firms, query, field):
    before = firms["carrier"].get("/v1/jobs")
    with pytest.raises(ClientError) as refused:
        send(firms["carrier"], b"a\nb\n", **query)
    assert (refused.value.status, refused.value.problem["field"]) == (422, field)
    assert firms["carrier"].get("/v1/jobs") == before


def test_a_column_nobody_knows_fails_the_job_with_its_name(system, firms):
    carrier = firms["carrier"]
    job = finish(system, carrier, send(carrier, b"colour,goods\nred,x\n"))
    assert (job["state"], job["code"]) == ("failed", "table_refused")
    assert "'colour'" in job["message"]
    events = carrier.get("/v1/events", type="job.finished", limit=1)["data"]
    assert events[0]["body"]["data"]["facts"]["state"] == "failed"
