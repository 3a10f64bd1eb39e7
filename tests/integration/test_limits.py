"""Rate limits and trusted proxies: on a stack of their own, since the other suites run without limits."""
import re

import pytest

from api import Api
from stack import Stack

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def limited():
    own = Stack(gateways=2, settings={
        "RATE_LIMITS": "", "TRUSTED_PROXY_CIDRS": "127.0.0.0/8", "GATEWAY_HOSTS": "chat.test=chat-web"})
    try:
        yield own.up()
    finally:
        own.destroy()


def attempt(url, address, path="/api/v1/auth/login"):
    return Api(url).post(path, {"username": "nobody", "password": "whatever", "email": "n@example.org"},
                         headers={"X-Forwarded-For": address})


def test_logins_are_counted_exactly_over_all_gateways(limited):
    answers = [attempt((limited.url, limited.url2)[i % 2], "192.0.2.1") for i in range(8)]
    assert [a.status_code for a in answers] == [401] * 5 + [429] * 3
    last = answers[-1]
    assert last.json()["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(last.headers["Retry-After"]) <= 60
    assert last.headers["X-RateLimit-Limit"] == "5" and last.headers["X-RateLimit-Remaining"] == "0"
    assert [int(a.headers["X-RateLimit-Remaining"]) for a in answers[:5]] == [4, 3, 2, 1, 0]


def test_another_address_and_another_route_are_counted_apart(limited):
    for _ in range(6):
        last = attempt(limited.url, "192.0.2.2")
    assert last.status_code == 429
    assert attempt(limited.url, "192.0.2.3").status_code == 401
    assert attempt(limited.url, "192.0.2.2", "/api/auth/login").status_code == 401


def test_each_manner_has_its_own_429(limited):
    for _ in range(6):
        last = attempt(limited.url, "192.0.2.4", "/api/auth/login")
    assert last.status_code == 429
    assert last.json()["error_code"] == "RATE_LIMIT_EXCEEDED" and last.headers["Retry-After"]


def test_the_nearest_untrusted_address_counts(limited):
    # Proxies append: what stands left of the last untrusted address is the client's own invention.
    for i in range(6):
        last = attempt(limited.url, f"203.0.113.{i}, 192.0.2.5")
    assert last.status_code == 429


def test_users_are_counted_one_by_one(limited):
    user = Api(limited.url).post("/api/v1/auth/register", {"username": "counted", "password": "long enough"},
                                 headers={"X-Forwarded-For": "192.0.2.6"}).json()
    answers = [Api(limited.url).me(user["access_token"]) for _ in range(60)]
    codes = [a.status_code for a in answers]
    # Leases, not exact: about 50 pass.
    assert 45 <= codes.count(200) <= 60 and set(codes) <= {200, 429}
    assert 429 in codes


def test_health_is_never_limited(limited):
    assert all(Api(limited.url).get("/healthz").status_code == 200 for _ in range(100))


def test_a_profile_by_host_name(limited):
    """chat-web: the envelope that the original's browser client needs."""
    answer = Api(limited.url).post("/api/v1/auth/register", {"username": "webuser", "password": "long enough"},
                                   headers={"Host": "chat.test", "X-Forwarded-For": "192.0.2.7"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["access_token"]
    bad = Api(limited.url).post("/api/v1/auth/refresh", {"refresh_token": "0" * 64},
                                headers={"Host": "chat.test", "X-Forwarded-For": "192.0.2.7"})
    assert bad.status_code == 400
    assert re.search("INVALID_TOKEN", bad.text)


def test_a_route_of_chat_is_counted_for_all_its_methods(limited):
    """Contract 2.4: the bucket is caller and route template, whatever the method and the ids."""
    user = Api(limited.url).post("/api/v1/auth/register", {"username": "pathuser", "password": "long enough"},
                                 headers={"X-Forwarded-For": "192.0.2.8"}).json()["access_token"]
    codes = [Api(limited.url).call(("GET", "PATCH", "DELETE")[i % 3], f"/api/v1/guilds/{i + 1}", user).status_code
             for i in range(60)]
    assert 45 <= codes.count(404) <= 55 and set(codes) == {404, 429}
    assert Api(limited.url).get("/api/v1/users/@me/guilds", user).status_code == 200
    public = [Api(limited.url).get("/api/v1/invites/00000000") for _ in range(60)]
    assert {a.status_code for a in public} == {404}


def test_dialect_w_of_guilds(limited):
    """What the original's browser client reads (contract section 15): W1, W4, W5, W6, W8, W9."""
    api = Api(limited.url)

    def web(method, path, token=None, body=None, root="/api/v1"):
        answer = api.call(method, root + path, token, json=body, headers={"Host": "chat.test", "X-Forwarded-For": "192.0.2.9"})
        assert answer.status_code in (200, 201), answer.text
        assert set(answer.json()) == {"data"}, answer.text
        return answer.json()["data"]

    ann, bob = (web("POST", "/auth/register", None, {"username": name, "password": "long enough"})["access_token"]
                for name in ("webann", "webbob"))
    guild = web("POST", "/guilds", ann, {"name": "Web"})
    channels = web("GET", f"/guilds/{guild['id']}/channels", ann)
    assert all(c["parent_id"] is None for c in channels)
    assert web("POST", f"/guilds/{guild['id']}/channels", ann, {"name": "new", "type": 0})["parent_id"] is None
    role = web("POST", f"/guilds/{guild['id']}/roles", ann, {"name": "r", "color": 0, "permissions": "0", "position": 1})
    code = web("POST", f"/guilds/{guild['id']}/invites", ann, {"max_uses": 0, "max_age_seconds": 86400})["code"]
    joined = web("POST", f"/invites/{code}", bob, {})
    assert joined["guild_id"] == joined["id"] == guild["id"]
    members = web("GET", f"/guilds/{guild['id']}/members", bob)
    assert [m["roles"] for m in members][1] == [] and all(isinstance(r, str) for r in members[0]["roles"])
    assert [g["id"] for g in web("GET", "/users/@me/guilds", bob)] == [guild["id"]]
    assert len(web("GET", f"/guilds/{guild['id']}/roles", ann)) == 3
    for method, path, token, root in [("DELETE", f"/invites/{code}", ann, ""),
                                      ("DELETE", f"/guilds/{guild['id']}/roles/{role['id']}", ann, "/api/v1"),
                                      ("DELETE", f"/channels/{channels[0]['id']}", ann, "/api/v1"),
                                      ("DELETE", f"/guilds/{guild['id']}/members/@me", bob, "/api/v1"),
                                      ("DELETE", f"/guilds/{guild['id']}", ann, "/api/v1")]:
        assert web(method, path, token, root=root) is None


def test_handshakes_of_live_connections_are_counted_by_address(limited):
    def left(address):
        answer = Api(limited.url).get("/gateway", headers={"X-Forwarded-For": address})
        assert answer.status_code == 400  # no upgrade
        assert answer.headers["X-RateLimit-Limit"] == "1200"
        return int(answer.headers["X-RateLimit-Remaining"])

    assert [left("192.0.2.7"), left("192.0.2.7"), left("192.0.2.8")] == [1199, 1198, 1199]
