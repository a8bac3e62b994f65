"""The first look: pages open in a real browser, ask no other host, and say nothing wrong."""

from __future__ import annotations


def test_the_home_page_opens_in_both_languages_without_asking_another_host(watched):
    page = watched.open("/")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    english = watched.open("/", locale="en-GB")
    assert english.locator("html").get_attribute("lang") == "en"
    assert english.title()
