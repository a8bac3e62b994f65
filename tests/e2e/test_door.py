"""The door in a real browser: people come in through our form, and no page of another site lets them in."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.integration.api.people import PASSWORD, open_account


@pytest.fixture(scope="module")
def login(product):
    open_account(product, product.party("door haulier"), "door")
    return "door"


def test_a_person_signs_in_and_out(watched, login):
    page = watched.open("/door?next=/door/sessions")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("main form button.btn-primary")
    page.wait_for_url("**/door/sessions")
    (cookie,) = [one for one in page.context.cookies() if one["httpOnly"]]
    assert cookie["sameSite"] == "Strict"
    page.locator('form[action="/door/out"] button').first.click()
    page.wait_for_url("**/door")
    assert [one for one in page.context.cookies() if one["httpOnly"]] == []


def test_a_form_of_another_site_is_refused(browser, product, login):
    class Evil(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(
                f'<form method="post" action="{product.url}/door"><input name="login" value="{login}">'
                f'<input name="password" value="{PASSWORD}"><button>win</button></form>'.encode()
            )

        def log_message(self, *_):
            """Says nothing."""

    evil = HTTPServer(("127.0.0.1", 0), Evil)
    threading.Thread(target=evil.serve_forever, daemon=True).start()
    context = browser.new_context()
    try:
        page = context.new_page()
        # by another name it is another site; by the same name, another port, it is another origin of ours
        for name in ("localhost", "127.0.0.1"):
            page.goto(f"http://{name}:{evil.server_port}/")
            with page.expect_response("**/door") as answered:
                page.click("button")
            assert answered.value.status == 403, name
            assert context.cookies() == [], name
    finally:
        context.close()
        evil.shutdown()
        evil.server_close()
