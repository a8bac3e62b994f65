"""People with accounts, as tests need them."""

from __future__ import annotations

import secrets

from fastapi.testclient import TestClient

from api.app import create_app

PASSWORD = "a truck full of sugar, at dawn"  # pragma: allowlist secret


def post_once(who, path, body):
    """Sends JSON without a session or a key of the API; ``who`` has an ``http``."""
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    return who.http.post(path, json=body, headers=headers)


def open_account(system, owner, login, role="owner"):
    """An account in the organisation of a party; ``owner`` is the party's client."""
    if role == "owner":
        token = owner.post("/v1/organisation", {"name": f"Organisation {login}"})["invitation"]
    else:
        token = owner.post("/v1/invitations", {"role": role})["token"]
    body = {"token": token, "login": login, "name": f"Person {login}", "password": PASSWORD}
    answer = post_once(system, "/v1/invitations/acceptance", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


class Browser:
    """A browser of its own: cookies, and the CSRF token its pages would carry."""

    def __init__(self, system, base_url="http://testserver"):
        self.http = TestClient(
            create_app(system.container),
            base_url=base_url,
            raise_server_exceptions=False,
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        self.csrf = ""

    def sign_in(self, login, password=PASSWORD, **more):
        answer = self.http.post("/v1/sessions", json={"login": login, "password": password} | more)
        if answer.status_code == 201:
            self.csrf = answer.json()["csrf"]
        return answer

    def request(self, method, path, **options):
        headers = {"X-CSRF-Token": self.csrf, "Idempotency-Key": secrets.token_hex(8)}
        headers |= options.pop("headers", {})
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)


def signed_in(system, login):
    browser = Browser(system)
    assert browser.sign_in(login).status_code == 201
    return browser
