"""Tokens that are signed with keys: published, rotated, verified by all gateways and by others."""
import hashlib
import hmac
import json
import secrets
import time

import pytest

import jws
from api import PASSWORD, Api, claims
from polling import poll
from stack import Stack

pytestmark = pytest.mark.local
LEAD_S = 2
PUBLIC_URL = "https://atrium.example"


@pytest.fixture(scope="module", params=["EdDSA", "ES256"])
def stack(request):
    own = Stack(gateways=2, settings={"JWT_ALGORITHM": request.param, "JWT_KEY_LEAD": f"{LEAD_S}s",
                                      "PUBLIC_URL": PUBLIC_URL})
    own.algorithm = request.param
    try:
        yield own.up()
    finally:
        own.destroy()


@pytest.fixture
def admin(stack, api):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return api.login(name).json()["access_token"]


def jwks(api):
    answer = api.get("/.well-known/jwks.json")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"].startswith("public, max-age=")
    return answer.json()


def test_others_verify_our_tokens(stack, api, api2, user):
    for token in (user["access_token"], user["token"]):
        assert jws.header(token)["alg"] == stack.algorithm
        said = jws.verified(token, jwks(api))
        assert said["user_id"] == said["sub"] == user["user"]["id"] and said["iss"] == PUBLIC_URL
        for gateway in (api, api2):
            assert gateway.me(token).json()["data"]["id"] == user["user"]["id"]


def test_the_configuration_tells_where_the_keys_are(stack, api, user):
    answer = api.get("/.well-known/openid-configuration")
    said = answer.json()
    assert said["issuer"] == PUBLIC_URL == claims(user["access_token"])["iss"]
    assert said["jwks_uri"] == PUBLIC_URL + "/.well-known/jwks.json"
    assert said["id_token_signing_alg_values_supported"] == [stack.algorithm]
    assert said["response_types_supported"] == [] and "authorization_endpoint" not in said
    who = api.get(said["userinfo_endpoint"].removeprefix(PUBLIC_URL), user["access_token"]).json()
    assert who["sub"] == user["user"]["id"] and who["preferred_username"] == user["user"]["username"]


def test_a_long_token_is_refreshed(api, user):
    answer = api.post("/api/v1/auth/refresh", {"token": user["token"]})
    assert answer.status_code == 200
    assert jws.verified(answer.json()["token"], jwks(api))["user_id"] == user["user"]["id"]
    poll(lambda: api.me(user["token"]).status_code == 401, what="the end of the old token")


def test_tokens_by_the_secret_are_still_good(stack, api, api2, user):
    def by_secret(secret):
        said = {**claims(user["access_token"]), "jti": secrets.token_hex(8)}
        text = jws.encode(b'{"alg":"HS256","typ":"JWT"}') + "." + jws.encode(json.dumps(said).encode())
        return text + "." + jws.encode(hmac.new(secret, text.encode(), hashlib.sha256).digest())

    good = by_secret(stack.secret("jwt_secret").encode())
    assert api.me(good).status_code == api2.me(good).status_code == 200
    # What everybody could make: the public key, in any of its forms, is no secret.
    for key in jwks(api)["keys"]:
        for public in (key["x"].encode(), jws.decode(key["x"]), jws.decode(key["x"]) + jws.decode(key.get("y", ""))):
            assert api.me(by_secret(public)).status_code == 401


def test_forgeries_are_refused(stack, api, user):
    said = claims(user["access_token"])
    kid = jws.header(user["access_token"])["kid"]
    head, body, signature = user["access_token"].split(".")
    other = {**said, "user_id": "1", "role": "admin"}
    for token in (
            jws.forged({"alg": "EdDSA", "kid": kid}, other),
            jws.forged({"alg": "EdDSA", "kid": "nobody knows"}, other),
            jws.forged({"alg": "EdDSA"}, other),
            jws.forged({"alg": "none", "kid": kid}, other),
            jws.encode(b'{"alg":"none"}') + "." + body + ".",
            head + "." + jws.encode(json.dumps(other).encode()) + "." + signature,
            head + "." + body + ".",
            user["access_token"] + "=",
    ):
        assert api.me(token).status_code == 401


def test_rotation_costs_nobody_a_refusal(stack, api, api2, user, admin):
    before = jwks(api)["keys"]
    assert api.post("/api/v1/auth/signing-keys/rotate", token=user["access_token"]).status_code == 403
    answer = api.post("/api/v1/auth/signing-keys/rotate", token=admin)
    assert answer.status_code == 200
    new = answer.json()["kid"]
    assert {k["kid"] for k in jwks(api)["keys"]} == {k["kid"] for k in before} | {new}

    name = api.register()["user"]["username"]  # another: its oldest login will end, of so many

    def signed_by_the_new():
        """Each token is taken by both gateways at once, whichever key signed it."""
        fresh = api.login(name).json()
        assert api.me(fresh["access_token"]).status_code == api2.me(fresh["access_token"]).status_code == 200
        return jws.header(fresh["access_token"])["kid"] == new

    assert not signed_by_the_new(), "nobody had time to fetch it"
    began = time.monotonic()
    while not signed_by_the_new():
        assert time.monotonic() - began < 5 * LEAD_S + 15
    # The old one still verifies, here and elsewhere.
    assert api.me(user["access_token"]).status_code == api2.me(user["access_token"]).status_code == 200
    assert jws.verified(user["access_token"], jwks(api))


def test_a_gateway_that_starts_later_knows_the_keys(stack, api, user):
    stack.atrium("restart", "gateway")
    poll(lambda: Api(stack.url).me(user["access_token"]).status_code == 200, what="the gateway", seconds=30)
