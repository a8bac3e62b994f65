"""The desk's pages in a real browser: every page in both languages, the live map, hashing again, bad input."""

from __future__ import annotations

import json
import re
import zipfile

import pytest

from api.jobs import JOBS
from deploy.demo.supervisor import ROOT
from tests.e2e.conftest import Watched
from tests.e2e.desk_day import Day

AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
WIDTHS = (390, 1440)
EXCUSED = "GL Driver Message"
RULES = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})"


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    made = Day(tmp_path_factory.mktemp("desk"))
    yield made
    made.close()


@pytest.fixture
def desk(browser, day):
    """Opens the day's pages; fails on requests to another host and on errors in the console."""
    opened = Watched(browser, day.url)
    opened.excused.append(EXCUSED)
    yield opened
    opened.close()


def enter(desk, day, login, **options):
    """A page of somebody who has signed in."""
    page = desk.open(**options)
    page.context.add_cookies([day.cookie(login)])
    return page


def firm_pages(day) -> list[str]:
    return [
        "/firm", "/firm?day=2026-01-27", "/firm/waybills", "/firm/exceptions", "/firm/credit",
        "/firm/developer", "/firm/import", "/firm/new", f"/trips/{day.trip}",
        f"/trips/{day.trip}/evidence", f"/trips/{day.trip}/chain",
        f"/sign?form=/v1/advances/{day.advance}/repayment%3Famount_fen%3D100",
    ]  # fmt: skip


def lender_pages(day) -> list[str]:
    return [
        "/lender", "/lender/loans", f"/lender/loans/{day.advance}", "/lender/lines",
        "/lender/warnings", "/ledger", f"/trips/{day.trip}/evidence",
    ]  # fmt: skip


@pytest.mark.parametrize("login", ["haulier", "lender"])
def test_every_page_opens_in_both_languages_fits_both_widths_and_has_no_serious_barrier(
    desk, day, login
):
    desk.excused.append("409")  # a form that is not to be signed says so
    pages = firm_pages(day) if login == "haulier" else lender_pages(day)
    found = []
    for locale, width in zip(("zh-CN", "en-GB"), WIDTHS, strict=True):
        page = enter(desk, day, login, locale=locale, viewport={"width": width, "height": 900})
        for path in pages:
            answer = page.goto(path)
            assert answer.status == 200, path
            assert page.locator("html").get_attribute("lang")[:2] == locale[:2]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            if width > min(WIDTHS):
                continue  # the narrow page has every part of the wide one, and tables that scroll
            if page.locator("[data-map]").count():
                page.wait_for_selector("[data-map][data-ready]", timeout=30_000)
            page.evaluate(AXE)
            told = page.evaluate(RULES)
            found += [
                (path, width, one["id"], one["nodes"][0]["html"][:160])
                for one in told["violations"]
                if one["impact"] in {"serious", "critical"}
            ]
    assert not found, "\n".join(map(str, found))


def test_the_map_is_live_and_replays_beside_the_speed_chart(desk, day, until):
    page = enter(desk, day, "haulier")
    page.goto(f"/trips/{day.trip}")
    page.wait_for_selector("[data-map][data-ready]", timeout=30_000)
    assert page.locator(".map-note").inner_text().startswith("示意图")
    assert page.locator("[data-chart] canvas").count() == 1
    slider = page.locator("[data-at]")
    slider.evaluate("one => { one.value = 0; one.dispatchEvent(new Event('input')); }")
    first = page.locator("[data-clock]").inner_text()
    assert first.startswith("2026-01-27 ")
    page.select_option("[data-rate]", "20")
    page.click("[data-play]")
    until(lambda: int(slider.input_value()) > 2)
    page.click("[data-play]")
    assert page.locator("[data-clock]").inner_text() != first
    page.uncheck("[data-lane=chain]")
    assert not page.locator('[data-in="chain"]').first.is_visible()


def test_without_webgl_the_page_shows_a_picture(desk, day, until):
    page = enter(desk, day, "haulier")
    page.add_init_script(
        "const own = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind.startsWith('webgl') ? null : own.call(this, kind, ...rest); };"
    )
    page.goto(f"/trips/{day.trip}")
    picture = page.wait_for_selector("img.map", timeout=30_000)
    until(lambda: picture.evaluate("one => one.complete && one.naturalWidth > 0"))


def test_the_browser_hashes_the_evidence_again_and_agrees_with_the_chain(desk, day):
    page = enter(desk, day, "lender")
    page.goto(f"/trips/{day.trip}/evidence")
    page.click("[data-run]")
    page.wait_for_selector("[data-path]:not([hidden])", timeout=30_000)
    holds = page.eval_on_selector_all(
        "ul.verify li[data-holds]", "all => all.map(one => one.dataset.holds)"
    )
    assert holds.count("true") >= 6
    assert "false" not in holds
    assert page.locator(".path .chip").last.inner_text().endswith("✓")


def test_altered_evidence_is_told_as_different(desk, day):
    page = enter(desk, day, "lender")

    def alter(route):
        given = route.fetch().json()
        given["leaves"][3][1] += 1
        route.fulfill(json=given)

    page.route("**/evidence.json", alter)
    page.goto(f"/trips/{day.trip}/evidence")
    page.click("[data-run]")
    page.wait_for_selector("ul.verify li[data-holds=false]", timeout=30_000)


def test_the_slash_key_searches_by_whole_number_and_the_address_keeps_the_filter(desk, day):
    page = enter(desk, day, "haulier")
    page.goto("/firm/waybills")
    page.keyboard.press("/")
    page.keyboard.type("苏a 4716")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"q="))
    assert page.locator("tbody tr").count() == 1
    page.fill("#view-name", "我的车")
    page.click("text=保存当前筛选")
    page.wait_for_selector("a.pill:has-text('我的车')")
    page.goto("/firm/waybills?q=YD-none")
    assert page.locator(".empty-state").count() == 1


def test_a_draft_outlives_a_reload_and_an_ended_session_and_is_sent_once(desk, day):
    desk.excused += ["401", "403"]
    page = enter(desk, day, "haulier")
    page.goto("/firm/new")
    page.fill("#f-shipping_note", "YD20260127-9")
    page.fill("#f-goods", "糖")
    page.fill("#f-quantity", "12")
    page.fill("#f-load_from", "2026-02-01T08:00")
    page.fill("#f-deliver_by", "2026-02-01T20:00")
    page.fill("#f-first", "haulier公司")
    page.fill("#f-consignee", "consignee公司")
    page.fill("#performer-0", "driver公司")
    page.fill("#freight-0", "864.00")
    page.fill("#freight-1", "900")
    assert "不能高于" in page.locator("[data-drawing]").inner_text()
    page.fill("#f-consignee", "nobody")
    page.click("[data-tiers] .tier:nth-child(2) [data-drop]")
    page.click("[data-send]")
    assert page.locator("#f-consignee").get_attribute("aria-invalid") == "true"
    page.fill("#f-consignee", "consignee公司")
    page.reload()
    assert page.input_value("#f-shipping_note") == "YD20260127-9"
    assert "driver公司" in page.locator("[data-drawing]").inner_text()
    page.context.clear_cookies()
    page.click("[data-send]")
    page.wait_for_selector("[data-trouble]:has-text('会话已结束')")
    assert page.input_value("#f-goods") == "糖"
    page.context.add_cookies([day.cookie("haulier")])
    page.dblclick("[data-send]")
    page.wait_for_url(re.compile(r"/firm$"))
    drafts = day.cast["haulier"].get("/v1/waybills", stage="draft")["data"]
    assert [one["papers"]["shipping_note"] for one in drafts].count("YD20260127-9") == 1


def test_a_file_is_checked_first_and_its_bad_cells_turn_red(desk, day, until):
    page = enter(desk, day, "haulier")
    page.goto("/firm/import")
    haulier, driver, consignee = (
        str(day.cast[name].party) for name in ("haulier", "driver", "consignee")
    )
    head = "ref,issuer,performer,consignee,shipping_note,goods,quantity_milli,freight_fen,load_from,deliver_by,term_days"
    row = f"r1,{haulier},{driver},{consignee},YD-77,糖,12000,864.5,2026-02-01T00:00:00Z,2026-02-01T12:00:00Z,30"
    page.set_input_files(
        "[data-file]",
        {"name": "w.csv", "mimeType": "text/csv", "buffer": f"{head}\n{row}\n".encode()},
    )
    fault = page.locator("td.fault").first

    def is_red():
        for job in JOBS:
            if "bulk" in job.name or "import" in job.name or "job" in job.name:
                job.run(day.system.container)
        return fault.count() == 1

    until(is_red, seconds=20)
    assert "864.5" in fault.inner_text()


def test_a_trip_without_a_position_teaches_the_next_step(desk, day):
    page = enter(desk, day, "haulier")
    page.route("**/track.json", lambda route: route.fulfill(json=_empty(route)))
    page.goto(f"/trips/{day.trip}")
    page.wait_for_selector("[data-map] p", timeout=20_000)
    assert "还没有位置" in page.locator("[data-map]").inner_text()


def _empty(route) -> dict:
    given = json.loads(route.fetch().text())
    return given | {"time": [], "lon": [], "lat": [], "speed": [], "plan": None}


def test_every_number_of_the_first_screen_opens_its_loans(desk, day):
    page = enter(desk, day, "lender", viewport={"width": 1440, "height": 900})
    page.goto("/lender")
    assert "864.00" in page.locator(".figures").inner_text()
    assert page.locator("[data-chart] svg").count() >= 2
    page.click("section:has(#lanes) details summary")
    lane = page.locator("section:has(#lanes) details")
    assert "→" in lane.inner_text()
    assert lane.locator(f"a[href='/lender/loans/{day.advance}']").count() == 1
    for link in page.eval_on_selector_all(
        "main a[href^='/lender/loans']", "all => [...new Set(all.map(one => one.href))]"
    ):
        assert page.goto(link).status == 200, link


def test_who_may_only_approve_sees_no_makers_buttons(desk, day):
    page = enter(desk, day, "lender-checker", viewport={"width": 1440, "height": 900})
    for path in (f"/lender/loans/{day.advance}", "/lender/lines"):
        page.goto(path)
        assert page.locator("main a[href^='/sign']").count() == 0, path
        assert page.locator("main form[action$='/act']").count() == 0, path
    page.goto(f"/lender/loans/{day.advance}")
    assert page.locator("main a[href='/approvals']").count() == 1


def test_anothers_pages_are_not_there(desk, day):
    desk.excused += ["404", "422"]
    page = enter(desk, day, "haulier")
    for path in ("/lender", f"/lender/loans/{day.advance}", "/lender/portfolio.pdf"):
        assert page.goto(path).status == 404, path
    lender = enter(desk, day, "lender")
    assert lender.goto("/firm/waybills").status == 404
    assert lender.goto("/sign?form=https://evil.example/").status == 422


def test_paper_and_tables_leave_in_both_forms(desk, day):
    page = enter(desk, day, "lender")
    page.goto("/lender")
    for path, begins in (
        ("/lender/portfolio.pdf", b"%PDF"), ("/lender/portfolio.csv", b"\xef\xbb\xbf"),
        ("/lender/loans.csv", b"\xef\xbb\xbf"), (f"/lender/loans/{day.advance}/statement.pdf", b"%PDF"),
    ):  # fmt: skip
        assert page.request.get(path).body().startswith(begins), path
    firm = enter(desk, day, "haulier")
    assert firm.request.get("/firm/waybills.xlsx").body().startswith(b"PK")
    assert "YD20260126-003" in firm.request.get("/firm/waybills.csv").text()


def test_the_lender_takes_the_pack_away_and_nobody_else_does(desk, day, tmp_path):
    desk.excused.append("404")
    page = enter(desk, day, "lender")
    page.goto(f"/trips/{day.trip}/evidence")
    with page.expect_download() as taken:
        page.click("a[href$='/pack.zip']")
    path = tmp_path / taken.value.suggested_filename
    taken.value.save_as(path)
    assert path.name == "yundan-pack-YD20260126-003.zip"
    assert zipfile.is_zipfile(path)
    firm = enter(desk, day, "haulier")
    assert firm.request.get(f"/trips/{day.trip}/pack.zip").status == 404
    firm.goto(f"/trips/{day.trip}/evidence")
    assert firm.locator("a[href$='/pack.zip']").count() == 0


def test_a_reason_is_kept_as_a_note_and_goes_on_to_what_is_signed(desk, day):
    desk.excused.append("409")
    page = enter(desk, day, "lender", viewport={"width": 1440, "height": 900})
    page.goto(f"/lender/loans/{day.advance}")
    csrf = page.locator("meta[name=csrf]").get_attribute("content")
    answer = page.request.post(
        f"/lender/loans/{day.advance}/gate",
        form={"csrf": csrf, "opens": "true", "reason": "绕行, 修路 & 桥"},
        headers={"origin": day.url},
    )
    assert answer.status == 200
    assert "/sign?form=" in answer.url
    page.goto(answer.url)
    page.wait_for_selector("[data-message] dd")
    assert "Gate" in page.locator("[data-type]").inner_text()
    page.goto(f"/lender/loans/{day.advance}")
    assert "绕行, 修路 & 桥" in page.locator("main").inner_text()


def test_the_tour_leads_a_newcomer_from_the_waybill_to_the_pack_and_on_to_the_drive(desk, day):
    page = desk.open("/", viewport={"width": 390, "height": 844}, locale="en-GB")
    page.click(".tour a >> nth=0")
    seen = []
    while True:
        strip = page.locator(".tour-strip")
        seen.append(strip.locator("b").inner_text())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, page.url
        if not strip.locator("a[rel=next]").count():
            break
        strip.locator("a[rel=next]").click()
        page.wait_for_load_state()
    assert len(seen) == len(set(seen)) == 7
    assert strip.locator("form[action='/demo/drives'] button").count() == 1
    assert page.locator("#pack").is_visible()
    page.goto("/firm?tour=3")
    assert page.locator(".tour-strip").count() == 0, "a step stands above its own page alone"
