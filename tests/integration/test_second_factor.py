"""The second factor over HTTP, in each manner of logging in; and back-off for whoever guesses."""
import base64
import hashlib
import hmac
import json
import secrets
import struct
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api import PASSWORD, Api
from stack import running

pytestmark = pytest.mark.local
STEP_S = 30


@pytest.fixture(scope="module")
def stack():
    """With back-off, which the other suites switch off; who calls is told by X-Forwarded-For."""
    with running(settings={"LOGIN_BACKOFF": "on", "TRUSTED_PROXY_CIDRS": "127.0.0.0/8",
                 "GATEWAY_HOSTS": "chat.test=chat,web.test=chat-web,sessions.test=sessions"}) as own:
        yield own


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
    name = api.register()["user"]["username"]  # this network is known from now on
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


# ------------------------------------------------------------------------------------------------ passkeys
def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def cbor(value):
    """As much of CBOR as an authenticator needs; lengths below 2^16."""
    def head(major, number):
        if number < 24:
            return bytes([major << 5 | number])
        return bytes([major << 5 | 24, number]) if number < 256 else bytes([major << 5 | 25]) + number.to_bytes(2, "big")

    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value)) + value.encode()
    return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())


class Passkey:
    """A software authenticator with one key, at the site of PUBLIC_URL."""

    def __init__(self, kind, origin="http://localhost:8080", host="localhost"):
        self.origin, self.host, self.id, self.count = origin, host, secrets.token_bytes(16), 0
        if kind == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())
            numbers = self.key.public_key().public_numbers()
            self.cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
            self.sign = lambda data: self.key.sign(data, ec.ECDSA(hashes.SHA256()))
        elif kind == "EdDSA":
            self.key = ed25519.Ed25519PrivateKey.generate()
            public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            self.cose = {1: 1, 3: -8, -1: 6, -2: public}
            self.sign = self.key.sign
        else:
            self.key = rsa.generate_private_key(65537, 2048)
            self.cose = {1: 3, 3: -257, -1: self.key.public_key().public_numbers().n.to_bytes(256, "big"),
                         -2: b"\x01\x00\x01"}
            self.sign = lambda data: self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())

    def data(self, more=b"", flags=5):
        self.count += 1
        return hashlib.sha256(self.host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4, "big") + more

    def client_data(self, kind, options):
        return json.dumps({"type": f"webauthn.{kind}", "challenge": options["challenge"], "origin": self.origin}).encode()

    def create(self, options):
        assert {p["alg"] for p in options["pubKeyCredParams"]} == {-7, -8, -257}
        made = self.data(bytes(16) + len(self.id).to_bytes(2, "big") + self.id + cbor(self.cose), flags=0x45)
        return {"credential_id": b64(self.id), "client_data_json": b64(self.client_data("create", options)),
                "attestation_object": b64(cbor({"fmt": "none", "attStmt": {}, "authData": made}))}

    def get(self, options):
        data, client_data = self.data(), self.client_data("get", options)
        return {"credential_id": b64(self.id), "client_data_json": b64(client_data), "authenticator_data": b64(data),
                "signature": b64(self.sign(data + hashlib.sha256(client_data).digest()))}


def add_passkey(api, user, passkey):
    started = api.post("/api/v1/auth/passkeys/start", {"password": PASSWORD}, user["token"]).json()
    return api.post("/api/v1/auth/passkeys", {"ceremony": started["ceremony"], "name": "my phone",
                                              **passkey.create(started["publicKey"])}, user["token"])


def passkey_login(api, passkey, spoil=lambda answer: answer):
    started = api.post("/api/v1/auth/passkeys/login/start", {}).json()
    assert started["publicKey"]["rpId"] == "localhost"
    return api.post("/api/v1/auth/passkeys/login",
                    {"ceremony": started["ceremony"], **spoil(passkey.get(started["publicKey"]))})


@pytest.mark.parametrize("kind", ["ES256", "EdDSA", "RS256"])
def test_a_passkey_logs_in_without_a_password(stack, api, guarded, kind):
    passkey = Passkey(kind)
    added = add_passkey(api, guarded, passkey)
    assert added.status_code == 201, added.text
    assert added.json()["id"] == b64(passkey.id) and added.json()["name"] == "my phone"
    answer = passkey_login(From(stack.url), passkey)
    assert answer.status_code == 200, answer.text
    assert api.me(answer.json()["access_token"]).json()["data"]["username"] == guarded["name"]
    assert [p["name"] for p in api.get("/api/v1/auth/factors", guarded["token"]).json()["passkeys"]] == ["my phone"]
    assert [m["type"] for m in api.get("/api/v1/security/mfa/methods", guarded["token"]).json()["methods"]] == \
        ["totp", "webauthn"]
    removed = api.post(f"/api/v1/auth/passkeys/{b64(passkey.id)}/remove", {"password": PASSWORD}, guarded["token"])
    assert removed.status_code == 204, removed.text
    assert passkey_login(From(stack.url), passkey).status_code == 401


def test_a_passkey_of_elsewhere_does_not(stack, api):
    user, passkey = api.register(), Passkey("ES256")
    for other in (Passkey("ES256", origin="http://evil.example"), Passkey("ES256", host="evil.example")):
        refused = add_passkey(api, user, other)
        assert (refused.status_code, code_of(refused)) == (401, "INVALID_CODE")
    assert add_passkey(api, user, passkey).status_code == 201

    def flip(answer):
        signature = bytearray(base64.urlsafe_b64decode(answer["signature"] + "=="))
        signature[-1] ^= 1
        return {**answer, "signature": b64(bytes(signature))}

    for spoil in (flip, lambda answer: {**answer, "signature": ""}, lambda answer: {**answer, "signature": "!"},
                  lambda answer: {**answer, "client_data_json": b64(b"{}")},
                  lambda answer: {**answer, "user_handle": b64(b"somebody else")}):
        refused = passkey_login(From(stack.url), passkey, spoil)
        assert (refused.status_code, code_of(refused)) == (401, "INVALID_CODE")
    passkey.origin = "http://evil.example"
    assert passkey_login(From(stack.url), passkey).status_code == 401
    passkey.origin = "http://localhost:8080"
    passkey.count = 0  # a copy, whose counter stands where it was
    assert passkey_login(From(stack.url), passkey).status_code == 401
    passkey.count = 100
    assert passkey_login(From(stack.url), passkey).status_code == 200
