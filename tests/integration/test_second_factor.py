"""The second factor over HTTP, in each manner of logging in; and back-off for whoever guesses."""
import base64
import hashlib
import hmac
import secrets
import struct
import time

import pytest

from api import PASSWORD, Api
from stack import Stack

pytestmark = pytest.mark.local
STEP_S = 30


@pytest.fixture(scope="module")
def stack():
    """With back-off, which the other suites switch off; who calls is told by X-Forwarded-For."""
    own = Stack(settings={"LOGIN_BACKOFF": "on", "TRUSTED_PROXY_CIDRS": "127.0.0.0/8",
                          "GATEWAY_HOSTS": "chat.test=chat,web.test=chat-web,sessions.test=sessions"})
    try:
        yield own.up()
    finally:
        own.destroy()


class From(Api):
    """A client at some address, and with some host."""

    def __init__(self, url, address=None, host=None):
        super().__init__(url)
        self.session.headers["X-Forwarded-For"] = address or f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.1"
        if host:
            self.session.headers["Host"] = host


@pytest.fixture
def api(stack):
    """At a network of its own."""
    return From(stack.url)


class Authenticator:
    """What a telephone does: the next code that was not shown yet."""

    def __init__(self, secret):
        self.key = base64.b32decode(secret)
        self.last = 0

    def code(self):
        # One step ahead is good; further, the clock has to go on.
        step = max(int(time.time()) // STEP_S, self.last + 1)
        assert step <= int(time.time()) // STEP_S + 1, "too many codes for one test"
        self.last = step
        digest = hmac.new(self.key, struct.pack(">Q", step), hashlib.sha1).digest()
        at = digest[-1] & 15
        return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 10**6:06}"


@pytest.fixture
def guarded(api):
    """An account with an address and an authenticator, and its recovery codes."""
    name = "u" + secrets.token_hex(6)
    user = api.register(username=name, email=f"{name}@example.org")
    secret = api.post("/api/v1/auth/factors/totp", {"password": PASSWORD}, user["token"]).json()
    user["phone"] = Authenticator(secret["secret"])
    assert secret["secret"] in secret["url"]
    answer = api.post("/api/v1/auth/factors/totp/confirm", {"code": user["phone"].code()}, user["token"])
    assert answer.status_code == 200, answer.text
    user["codes"] = answer.json()["codes"]
    user["name"] = name
    return user


def code_of(answer):
    body = answer.json()
    return body["error"]["code"] if isinstance(body.get("error"), dict) else body.get("code") or body.get("error_code") \
        or body.get("error")


def test_what_one_has_is_shown(api, guarded):
    assert len(guarded["codes"]) == len(set(guarded["codes"])) == 10
    assert api.get("/api/v1/auth/factors", guarded["token"]).json() == \
        {"totp": True, "recovery_codes_left": 10, "passkeys": []}
    methods = api.get("/api/v1/security/mfa/methods", guarded["token"]).json()
    assert methods == {"methods": [{"id": "totp", "type": "totp", "enabled": True}]}
    assert api.get("/api/v1/security/mfa/methods", api.register()["token"]).json() == {"methods": []}


@pytest.mark.parametrize("host, members", [
    (None, {"access_token", "refresh_token", "token", "expiresAt", "user"}),
    ("chat.test", {"access_token", "refresh_token", "user"}),
    ("web.test", {"access_token", "refresh_token", "user"}),
    ("sessions.test", {"token", "expiresAt", "user"}),
])
@pytest.mark.parametrize("way", ["body", "header", "second step"])
def test_login_in_each_profile(stack, guarded, host, members, way):
    api, code = From(stack.url, host=host), guarded["codes"].pop()
    body = {"username": guarded["name"], "password": PASSWORD}
    first = api.post("/api/v1/auth/login", body)
    assert (first.status_code, code_of(first)) == (401, "SECOND_FACTOR_REQUIRED"), first.text
    if way == "body":
        answer = api.post("/api/v1/auth/login", {**body, "otp": code})
    elif way == "header":
        answer = api.post("/api/v1/auth/login", body, headers={"X-OTP": code})
    else:
        found = first.json()
        told = found.get("details") or found.get("error") if "challenge" not in found else found
        assert told["methods"] == ["totp"]
        # Wherever the second step is made, it ends what the first one began.
        elsewhere = From(stack.url, host="sessions.test")
        answer = elsewhere.post("/api/v1/auth/second-factor", {"challenge": told["challenge"], "code": code})
    assert answer.status_code == 200, answer.text
    found = answer.json().get("data") or answer.json()  # as chat's browser client has it
    assert found.keys() == members
    token = found.get("access_token") or found["token"]
    assert From(stack.url).me(token).status_code == 200


@pytest.mark.parametrize("way", ["body", "header", "second step"])
def test_login_in_the_manner_of_rag(stack, guarded, way):
    api, code = From(stack.url), guarded["codes"].pop()
    body = {"email": guarded["name"] + "@example.org", "password": PASSWORD}
    first = api.post("/api/auth/login", body)
    assert (first.status_code, first.json()["error_code"]) == (401, "AUTHENTICATION_FAILED"), first.text
    if way == "body":
        answer = api.post("/api/auth/login", {**body, "otp": code})
    elif way == "header":
        answer = api.post("/api/auth/login", body, headers={"X-OTP": code})
    else:
        answer = api.post("/api/v1/auth/second-factor", {"challenge": first.json()["challenge"], "code": code})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["token"]) == 64
    assert api.get("/api/auth/me", answer.json()["token"]).status_code == 200


def test_a_code_of_the_authenticator_is_good_once(stack, guarded):
    api, code = From(stack.url), guarded["phone"].code()
    assert api.login(guarded["name"], headers={"X-OTP": code}).status_code == 200
    again = api.login(guarded["name"], headers={"X-OTP": code})
    assert (again.status_code, code_of(again)) == (401, "INVALID_CODE")


def test_a_wrong_password_tells_nothing_of_a_second_factor(stack, guarded):
    api = From(stack.url)
    wrong, unknown = api.login(guarded["name"], "wrong"), api.login("u" + secrets.token_hex(6), "wrong")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()


def test_it_is_removed_by_password(stack, api, guarded):
    path = "/api/v1/auth/factors/totp/remove"
    refused = api.post(path, {}, guarded["token"])
    assert refused.status_code == 403 and refused.headers["Content-Type"].startswith("application/problem+json")
    assert api.post(path, {"password": PASSWORD}, guarded["token"]).status_code == 204
    assert api.login(guarded["name"]).status_code == 200


# ------------------------------------------------------------------------------------------------ back-off
def fail(api, name, times):
    return [api.login(name, "wrong").status_code for _ in range(times)]


def test_who_guesses_waits_and_the_owner_does_not(stack, api):
    name = api.register()["user"]["username"]
    assert api.login(name).status_code == 200  # this network is known from now on
    stranger = From(stack.url, "192.0.2.1")
    assert fail(stranger, name, 6) == [401] * 6
    slowed = stranger.login(name)
    assert slowed.status_code == 429 and 1 <= int(slowed.headers["Retry-After"]) <= 2
    for i in range(20):
        fail(From(stack.url, f"10.9.{i}.1"), name, 1)
    assert From(stack.url, "10.200.1.1").login(name).status_code == 429  # nobody has logged in from there
    assert api.login(name).status_code == 200


def test_names_that_do_not_exist_are_slowed_alike(stack, api):
    known, unknown = api.register()["user"]["username"], "u" + secrets.token_hex(6)
    here, there = From(stack.url, "198.51.100.1"), From(stack.url, "203.0.113.1")
    for _ in range(7):
        one, other = here.login(known, "wrong"), there.login(unknown, "wrong")
        assert one.status_code == other.status_code
        if one.status_code == 401:
            assert one.json() == other.json()
    assert one.status_code == 429
    assert {**one.json(), "request_id": None} == {**other.json(), "request_id": None}
