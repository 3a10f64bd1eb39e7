"""API keys over HTTP: what they may, how they end, how often they may ask, and what is told of them."""
import concurrent.futures
import csv
import datetime
import re
import secrets

import pytest

from api import PASSWORD, Api, claims
from polling import PATIENCE, poll
from stack import ROOT, Stack

ADMIN_KEYS, MY_KEYS, SCOPED_KEYS = "/api/v1/admin/api-keys", "/api/v1/dev/api-keys", "/api/v1/api-keys"
# A key that ends is refused everywhere within a second, and usage is told within 15; tests allow five times as much.
SOON_S, TOLD_S = 1 * PATIENCE, 15 * PATIENCE


def new_admin(stack, api):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return api.login(name).json()["access_token"]


@pytest.fixture
def admin(stack, api):
    return new_admin(stack, api)


@pytest.fixture
def reader(api, api2, admin):
    """The name of a role that may list keys, and nothing else."""
    return new_reader(admin, api, api2)


def new_reader(admin, *apis):
    name = "r" + secrets.token_hex(6)
    answer = apis[0].call("PUT", f"/api/v1/auth/roles/{name}", admin, json={"permissions": ["auth.keys.read"]})
    assert answer.status_code == 200, answer.text
    probe = make(apis[0], admin, role=name)["api_key"]
    poll(lambda: statuses(ADMIN_KEYS, probe, *apis) == 200, SOON_S, "the gateways know the role")
    return name


def make(api, admin, **fields):
    answer = api.post(ADMIN_KEYS, {"name": "robot", **fields}, admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


def statuses(path, key, *apis):
    answers = {a.get(path, key).status_code for a in apis}
    return answers.pop() if len(answers) == 1 else None


# ---------------------------------------------------------------------------------------------- making and showing
def test_a_key_is_shown_once(api, admin):
    key = make(api, admin)
    assert key.keys() == {"api_key", "prefix", "name", "role", "warning", "id", "expires_at"}
    assert key["api_key"].startswith("sel_") and key["api_key"].startswith(key["prefix"])
    assert (key["role"], key["expires_at"]) == ("agent", None)
    listed = api.get(ADMIN_KEYS, admin)
    assert key["api_key"][13:] not in listed.text
    item = next(i for i in listed.json()["items"] if i["id"] == key["id"])
    assert {"id", "prefix", "name", "source_id", "role", "rate_limit_tier", "is_active", "created_at", "last_used_at",
            "expires_at"} <= item.keys()
    assert (item["rate_limit_tier"], item["is_active"], item["last_used_at"]) == ("agent", True, None)


@pytest.mark.parametrize("body, code", [
    ({"name": ""}, "validation-error"),
    ({"name": "x" * 101}, "validation-error"),
    ({"name": "robot", "role": "emperor"}, "validation-error"),
    ({"name": "robot", "expires_in_days": -1}, "validation-error"),
    ({"name": "robot", "rate_limit_tier": "golden"}, "validation-error"),
])
def test_what_cannot_be_a_key_is_a_problem(api, admin, body, code):
    answer = api.post(ADMIN_KEYS, body, admin)
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"].endswith(code)


def test_an_unknown_key_is_not_found(api, admin):
    path = f"{ADMIN_KEYS}/0197a3c0-0000-7000-8000-000000000001"
    assert api.call("DELETE", path, admin).status_code == 404
    assert api.post(path + "/rotate", {}, admin).status_code == 404
    assert api.call("DELETE", f"{ADMIN_KEYS}/nonsense", admin).status_code == 400


# ---------------------------------------------------------------------------------------------- what they may
def test_a_key_may_what_its_role_may_and_nothing_else(api, admin, reader):
    agent, reading, full = (make(api, admin, role=role)["api_key"] for role in ("agent", reader, "admin"))
    assert [api.get(ADMIN_KEYS, key).status_code for key in (agent, reading, full)] == [403, 200, 200]
    assert [api.get("/api/v1/auth/roles", key).status_code for key in (agent, reading, full)] == [403, 403, 200]
    # What asks for no permission is for people: no key may read whose it is, or end logins.
    for key in (agent, reading, full):
        assert api.get("/api/v1/users/@me", key).status_code == 403
        assert api.call("DELETE", "/api/v1/auth/logins", key).status_code == 403


def routes_for_people():
    """Of every rpc that asks for a caller: method, path, and the permission that it needs."""
    with open(ROOT / "build/gen/callers.csv", newline="") as file:
        for row in csv.DictReader(file):
            for route in filter(None, row["routes"].split("; ") if row["policy"] in ("USER", "OPERATOR", "ADMIN") else ()):
                method, path = route.split(" ", 1)
                yield method, re.sub(r"{\w+}", "1", path), row["permission"]


@pytest.mark.local
def test_an_agent_reaches_no_route_of_people(api, admin):
    """Its role grants submission and subscription alone: everything else is refused before anything is looked at."""
    key = make(api, admin)["api_key"]
    open_ = [(method, path) for method, path, permission in routes_for_people() if permission not in ("events.submit", "events.subscribe")
             and api.call(method, path, key, json=None if method in ("GET", "DELETE") else {}).status_code != 403]
    assert not open_


def test_what_is_no_key_is_refused_without_asking(api, admin):
    key = make(api, admin, role="admin")["api_key"]
    assert api.get(ADMIN_KEYS, key).status_code == 200
    assert api.get(ADMIN_KEYS, key[:-1] + ("a" if key[-1] != "a" else "b")).status_code == 401
    assert api.get(ADMIN_KEYS, key[:20]).status_code == 401


def test_a_change_of_the_role_reaches_its_keys(api, api2, admin, reader):
    key = make(api, admin, role=reader)["api_key"]
    assert statuses(ADMIN_KEYS, key, api, api2) == 200
    assert api.call("PUT", f"/api/v1/auth/roles/{reader}", admin, json={"permissions": []}).status_code == 200
    poll(lambda: statuses(ADMIN_KEYS, key, api, api2) == 403, SOON_S, "the permission is gone at both gateways")


# ---------------------------------------------------------------------------------------------- how they end
def test_a_revoked_key_is_refused_at_every_gateway(api, api2, admin, reader):
    key = make(api, admin, role=reader)
    assert statuses(ADMIN_KEYS, key["api_key"], api, api2) == 200
    assert api.call("DELETE", f"{ADMIN_KEYS}/{key['id']}", admin).status_code == 204
    poll(lambda: statuses(ADMIN_KEYS, key["api_key"], api, api2) == 401, SOON_S, "it is refused at both gateways")
    assert api.call("DELETE", f"{ADMIN_KEYS}/{key['id']}", admin).status_code == 404


def test_a_rotated_key_lives_on_for_the_overlap(api, api2, admin, reader):
    old = make(api, admin, role=reader)
    answer = api.post(f"{ADMIN_KEYS}/{old['id']}/rotate", {"overlap_s": 600}, admin)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert new["id"] != old["id"] and new["role"] == reader
    assert statuses(ADMIN_KEYS, old["api_key"], api, api2) == statuses(ADMIN_KEYS, new["api_key"], api, api2) == 200
    last = api.post(f"{ADMIN_KEYS}/{new['id']}/rotate", {"overlap_s": 0}, admin).json()
    poll(lambda: statuses(ADMIN_KEYS, new["api_key"], api, api2) == 401, SOON_S, "without overlap it ends at once")
    assert statuses(ADMIN_KEYS, last["api_key"], api, api2) == 200


# ---------------------------------------------------------------------------------------------- token exchange
def test_an_administrators_key_is_exchanged_for_a_token(api, api2, admin):
    key, agent = make(api, admin, role="admin"), make(api, admin)
    assert api.post("/api/v1/auth/token").status_code == 401
    assert api.post("/api/v1/auth/token", token=agent["api_key"]).status_code == 403
    assert api.post("/api/v1/auth/token", token=admin).status_code == 403
    answer = api.post("/api/v1/auth/token", token=key["api_key"])
    assert answer.status_code == 200, answer.text
    token = answer.json()["token"]
    assert answer.json().keys() == {"token", "expires_at"}
    said = claims(token)
    assert said["role"] == "admin" and said["exp"] - said["iat"] == 3600
    assert statuses(ADMIN_KEYS, token, api, api2) == 200
    assert api.me(token).status_code == 200
    other = api.post("/api/v1/auth/token", token=key["api_key"]).json()["token"]
    assert api.post("/api/v1/auth/logout", {}, other).status_code in (200, 204)
    poll(lambda: statuses(ADMIN_KEYS, other, api, api2) == 401, SOON_S, "the token that was logged out ends")
    assert statuses(ADMIN_KEYS, token, api, api2) == statuses(ADMIN_KEYS, key["api_key"], api, api2) == 200
    assert api.call("DELETE", f"{ADMIN_KEYS}/{key['id']}", admin).status_code == 204
    poll(lambda: statuses(ADMIN_KEYS, token, api, api2) == 401, SOON_S, "the token ends with its key")


# ---------------------------------------------------------------------------------------------- developers
def test_a_developer_has_five_keys(api, api2, user, admin):
    token = user["access_token"]
    assert api.post(MY_KEYS, {"name": "first"}, token).status_code == 403
    assert api.call("PUT", f"/api/v1/auth/users/{user['user']['id']}/roles/developer", admin).status_code == 204
    poll(lambda: api.get(MY_KEYS, token).status_code == 200, SOON_S, "he is a developer")
    keys = [api.post(MY_KEYS, {"name": f"key {i}"}, token).json() for i in range(5)]
    answer = api.post(MY_KEYS, {"name": "one more"}, token)
    assert answer.status_code == 403 and answer.json()["type"].endswith("max-keys-reached"), answer.text
    assert {i["id"] for i in api.get(MY_KEYS, token).json()["items"]} == {k["id"] for k in keys}
    assert api.call("DELETE", f"{MY_KEYS}/{keys[0]['id']}", token).status_code == 204
    assert api.call("DELETE", f"{MY_KEYS}/{make(api, admin)['id']}", token).status_code == 404
    assert api.post(MY_KEYS, {"name": "instead"}, token).status_code == 201
    usage = api.get(f"{MY_KEYS}/{keys[1]['id']}/usage", token)
    assert usage.json() == {"key_id": keys[1]["id"], "items": [], "total_requests": 0, "total_errors": 0}


def test_the_portals_cookie_opens_a_developers_keys(api, user, admin):
    name = user["user"]["username"]
    assert api.call("PUT", f"/api/v1/auth/users/{user['user']['id']}/roles/developer", admin).status_code == 204
    token = api.post("/api/v1/dev/login", {"username": name, "password": PASSWORD}).json()["token"]
    api.session.cookies.clear()

    def by_cookie(method, name, **options):
        headers = {"Cookie": f"{name}={token}", **options.pop("headers", {})}
        return api.call(method, MY_KEYS, headers=headers, **options)

    assert by_cookie("GET", "dev_auth_token").status_code == 200
    assert by_cookie("GET", "auth_token").status_code == 401
    body = {"name": "from the portal"}
    assert by_cookie("POST", "dev_auth_token", json=body).status_code == 403  # from who knows where
    assert by_cookie("POST", "dev_auth_token", json=body, headers={"Origin": api.url}).status_code == 201


# ---------------------------------------------------------------------------------------------- personal keys
def test_a_personal_key_acts_as_its_owner_within_its_scopes(api, api2, user, admin):
    token = user["access_token"]
    answer = api.post(SCOPED_KEYS, {"name": "laptop"}, token)
    assert answer.status_code == 201, answer.text
    full = answer.json()
    assert full["key"].startswith("sk_") and full["scopes"] == ["full"] and full["isActive"] is True
    assert api.me(full["key"]).json()["data"]["id"] == user["user"]["id"]
    assert api.get("/api/v1/auth/roles", full["key"]).status_code == 403  # he may not either
    assert api.post(SCOPED_KEYS, {"name": "more", "scopes": ["auth.roles.read"]}, token).status_code == 403
    narrow = api.post(SCOPED_KEYS, {"name": "narrow", "scopes": ["auth.roles.read"]}, admin).json()
    assert api.get("/api/v1/auth/roles", narrow["key"]).status_code == 200
    assert api.get(ADMIN_KEYS, narrow["key"]).status_code == api.me(narrow["key"]).status_code == 403
    listed = api.get(SCOPED_KEYS, token).json()
    assert listed["total"] == 1 and "key" not in listed["apiKeys"][0]
    assert api.call("DELETE", f"{SCOPED_KEYS}/{full['id']}", admin).status_code == 404
    assert api.call("DELETE", f"{SCOPED_KEYS}/{full['id']}", token).status_code == 200
    poll(lambda: statuses("/api/v1/users/@me", full["key"], api, api2) == 401, SOON_S, "it is refused at both gateways")


def test_a_full_key_follows_its_owners_rank(api, api2, user, admin):
    key = api.post(SCOPED_KEYS, {"name": "laptop", "scopes": ["full"]}, user["access_token"]).json()["key"]
    assert statuses("/api/v1/auth/roles", key, api, api2) == 403
    assert api.call("PUT", f"/api/v1/auth/users/{user['user']['id']}/roles/operator", admin).status_code == 204
    poll(lambda: statuses("/api/v1/auth/roles", key, api, api2) == 200, SOON_S, "the rank holds at both gateways")


# ---------------------------------------------------------------------------------------------- usage
def test_usage_is_exact_under_parallel_requests(stack, api, admin, reader):
    key = make(api, admin, role=reader)

    def hundred(number):
        own = Api(stack.url if number % 2 else stack.url2)
        return [own.get(ADMIN_KEYS if i % 4 else "/api/v1/auth/roles", key["api_key"]).status_code for i in range(100)]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = [status for part in pool.map(hundred, range(10)) for status in part]
    assert sorted(set(answers)) == [200, 403] and answers.count(403) == 250

    def told():
        today = datetime.datetime.now(datetime.timezone.utc).date()
        days = {"from": str(today - datetime.timedelta(days=1)), "to": str(today)}
        items = api.get("/api/v1/admin/reports/daily-usage", admin, params=days).json()["items"]
        return [sum(i[what] for i in items if i["key_id"] == key["id"]) for what in ("requests", "errors")]

    poll(lambda: told() == [1000, 250], TOLD_S, "all is told", pause=0.5)
    item = next(i for i in api.get(ADMIN_KEYS, admin).json()["items"] if i["id"] == key["id"])
    assert item["last_used_at"] is not None


# ---------------------------------------------------------------------------------------------- tiers
@pytest.fixture(scope="module")
def limited():
    """A stack where keys may ask twenty times a minute, and people ten times."""
    own = Stack(gateways=2, settings={"RATE_LIMITS": "auth=0,user=0", "RATE_LIMIT_AGENT": "20", "RATE_LIMIT_PUBLIC": "10"})
    try:
        yield own.up()
    finally:
        own.destroy()


@pytest.mark.local
def test_keys_are_counted_each_by_itself_and_over_all_gateways(limited):
    api, api2 = Api(limited.url), Api(limited.url2)
    admin = new_admin(limited, api)
    role = new_reader(admin, api, api2)
    one, two = (make(api, admin, role=role)["api_key"] for _ in range(2))
    boundless = make(api, admin, role="admin")["api_key"]
    for _ in range(10):
        assert api.get(ADMIN_KEYS, one).status_code == 200
    poll(lambda: api2.get(ADMIN_KEYS, one).status_code == 429, SOON_S, "the other gateway counts what this one saw")
    refused = api2.get(ADMIN_KEYS, one)
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
    poll(lambda: api.get(ADMIN_KEYS, one).status_code == 429, SOON_S, "and this one what that saw")
    assert api.get(ADMIN_KEYS, two).status_code == 200
    assert {api.get(ADMIN_KEYS, token).status_code for token in (boundless, admin) for _ in range(30)} == {200}


@pytest.mark.local
def test_people_are_limited_as_the_public_is(limited):
    api = Api(limited.url)
    admin, user = new_admin(limited, api), api.register()
    api.call("PUT", f"/api/v1/auth/users/{user['user']['id']}/roles/developer", admin)
    poll(lambda: api.get(MY_KEYS, user["access_token"]).status_code == 200, SOON_S, "he is a developer")
    answers = [api.get(MY_KEYS, user["access_token"]).status_code for _ in range(12)]
    assert answers[0] == 200 and answers[-1] == 429
