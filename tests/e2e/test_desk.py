"""A trip's page in a real browser: the live map with its replay, and the picture where WebGL is missing."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Watched
from tests.e2e.desk_day import Day

EXCUSED = "GL Driver Message"


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


def test_the_map_is_live_and_replays_beside_the_speed_chart(desk, day):
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
    page.wait_for_function("Number(document.querySelector('[data-at]').value) > 2")
    page.click("[data-play]")
    assert page.locator("[data-clock]").inner_text() != first
    page.uncheck("[data-lane=chain]")
    assert not page.locator('[data-in="chain"]').first.is_visible()


def test_without_webgl_the_page_shows_a_picture(desk, day):
    page = enter(desk, day, "haulier")
    page.add_init_script(
        "const own = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind.startsWith('webgl') ? null : own.call(this, kind, ...rest); };"
    )
    page.goto(f"/trips/{day.trip}")
    picture = page.wait_for_selector("img.map", timeout=30_000)
    page.wait_for_function("document.querySelector('img.map').complete")
    assert picture.evaluate("one => one.naturalWidth") > 0
