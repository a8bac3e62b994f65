"""What templates are given to say things with."""

from __future__ import annotations

import pytest

from api.portals.rendering import device_text

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/143.0.0.0 Safari/537.36 Edg/143.0.0.0", "Edge 143 · Windows"),
        (f"Mozilla/5.0 (Linux; Android 14; V2309A) {WEBKIT} Chrome/130.0 Mobile Safari/537.36 MicroMessenger/8.0.50", "WeChat 8 · Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile/15E148 Safari/604.1", "Safari 18 · iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox 140 · Linux"),
        ("python-httpx2/1.0", "python-httpx2/1.0"),
        ("", "–"),
    ],
)  # fmt: skip
def test_a_session_says_its_browser_and_machine_as_people_call_them(agent, said):
    assert device_text(agent) == said
