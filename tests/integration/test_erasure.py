"""Accounts that go, with what domains have of them: the bus's operator plays the domain."""
import base64
import json
import secrets
import uuid

import pytest

from api import PASSWORD, Api
from nats_client import Nats
from polling import PATIENCE, poll
from stack import running

pytestmark = pytest.mark.local
DOMAIN = "ops"
# What every gateway refuses within a second, of which tests allow five times as much.
CUT_S = 1.0 * PATIENCE


@pytest.fixture(scope="module")
def stack():
    with running(gateways=2, settings={"ERASURE_DOMAINS": f"{DOMAIN}, auth"}) as own:
        yield own


@pytest.fixture
def api(stack):
    return Api(stack.url)


@pytest.fixture(scope="module")
def admin(stack):
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


@pytest.fixture
def bus(stack):
    with Nats(stack.nats_url, DOMAIN, stack.secret(f"nats_{DOMAIN}")) as connection:
        yield connection


def text_field(number, text):
    return bytes([number << 3 | 2, len(text)]) + text.encode()


def report(bus, erasure_id, domain=DOMAIN, rows=7):
    """ReportErasure; the code of what went wrong, "" for nothing."""
    body = text_field(1, erasure_id) + text_field(2, domain) + bytes([3 << 3, rows])
    answer = bus.request(f"svc.main.{DOMAIN}.auth.v1.ReportErasure", body, callee="auth")
    if answer.headers.get("Nats-Service-Error-Code", "0") == "0":
        return ""
    return answer.body[2:2 + answer.body[1]].decode()


def erased(api, admin, delete):
    """Deletes a new account; the id of its erasure."""
    user = api.register()
    delete(user)
    found = api.get("/api/v1/admin/audit", admin, params={"target_id": user["user"]["id"], "action": "user.deleted"})
    return user, found.json()["items"][0]["detail"]["erasure_id"]


def erasure(api, admin, erasure_id):
    answer = api.get(f"/api/v1/auth/erasures/{erasure_id}", admin)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_administrator(api, admin):
    def delete(user):
        assert api.call("DELETE", f"/api/v1/users/{user['user']['id']}", admin).status_code == 200
    return delete


def test_an_erasure_is_complete_when_the_domain_has_reported(api, admin, bus):
    _, erasure_id = erased(api, admin, by_administrator(api, admin))
    before = erasure(api, admin, erasure_id)
    assert before["waiting_for"] == [DOMAIN] and "completed_at" not in before
    # Domains that nobody waits for here report, too, as soon as they have heard.
    assert "auth" in {r["domain"] for r in before["reports"]}
    assert report(bus, erasure_id) == ""
    after = erasure(api, admin, erasure_id)
    assert after["completed_at"] and after["waiting_for"] == []
    assert {r["domain"]: r["rows"] for r in after["reports"]}[DOMAIN] == 7


def test_domains_hear_of_it(api, admin, bus):
    user, erasure_id = erased(api, admin, by_administrator(api, admin))
    query = json.dumps({"last_by_subj": f"evt.auth.user.deleted.{user['user']['id']}"}).encode()
    found = poll(lambda: bus.request("$JS.API.STREAM.MSG.GET.EVT_AUTH", query).json().get("message"), CUT_S)
    assert erasure_id.encode() in base64.b64decode(found["data"])


def test_nobody_reports_for_another(api, admin, bus):
    _, erasure_id = erased(api, admin, by_administrator(api, admin))
    assert report(bus, erasure_id, "chat") == "PERMISSION_DENIED"
    assert report(bus, str(uuid.uuid4())) == "NOT_FOUND"
    assert erasure(api, admin, erasure_id)["waiting_for"] == [DOMAIN]


def test_one_erases_himself(stack, api, admin):
    def delete(user):
        path = "/api/v1/auth/account/delete"
        assert api.post(path, {"password": "wrong"}, user["access_token"]).status_code in (401, 403)
        done = api.post(path, {"password": PASSWORD}, user["access_token"])
        assert done.status_code == 202, done.text
        assert done.json()["waiting_for"] == [DOMAIN]

    user, erasure_id = erased(api, admin, delete)
    for gateway in (api, Api(stack.url2)):
        poll(lambda g=gateway: g.me(user["access_token"]).status_code == 401, CUT_S)
    assert api.login(user["user"]["username"]).status_code == 401
    assert erasure(api, admin, erasure_id)["id"] == erasure_id
    # The name is free again.
    api.register(username=user["user"]["username"])
