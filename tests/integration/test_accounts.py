"""Accounts, logins and tokens over HTTP, in the manner of each of the originals."""
import base64
import concurrent.futures
import hashlib
import hmac
import json
import re
import secrets
import time

import pytest

from api import PASSWORD, Api, claims
from polling import PATIENCE, poll

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
# A revocation reaches the other gateways "at once": within 200 ms, of which tests allow five times as much.
AT_ONCE_S = 0.2 * PATIENCE


def error_code(answer):
    return answer.json()["error"]["code"]


def refused(api, token, path="/api/v1/users/@me"):
    return lambda: api.get(path, token).status_code == 401


# ---------------------------------------------------------------------------------------------- register and log in
def test_register_answers_with_both_sets_of_fields(api, name):
    answer = api.post("/api/v1/auth/register", {"username": name, "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    body = answer.json()
    chat = {"access_token", "refresh_token", "user"}
    sessions = {"token", "expiresAt", "user"}
    assert chat <= body.keys() and sessions <= body.keys()
    user = body["user"]
    assert user["username"] == name and user["display_name"] == name
    assert re.fullmatch(r"[1-9][0-9]*", user["id"]) and int(user["id"]) < 2**53
    assert {"created_at", "fullName", "role", "provider", "active", "createdAt", "updatedAt"} <= user.keys()
    assert user["role"] == "user" and user["provider"] == "local" and user["active"] is True
    assert re.fullmatch(r"[0-9a-f]{64}", body["refresh_token"])


@pytest.mark.parametrize("fields, code", [
    ({"username": "x"}, "INVALID_USERNAME"),
    ({"username": "x" * 33}, "INVALID_USERNAME"),
    ({"username": "with blank"}, "INVALID_USERNAME"),
    ({"username": "ümlaut"}, "INVALID_USERNAME"),
    ({"username": ""}, "INVALID_USERNAME"),
    ({"password": "12345"}, "INVALID_PASSWORD"),
    ({"password": "x" * 129}, "INVALID_PASSWORD"),
    ({"password": ""}, "INVALID_PASSWORD"),
    ({"email": "no address"}, "INVALID_EMAIL"),
    ({"username": 5}, "INVALID_BODY"),
    ({"password": ["list"]}, "INVALID_BODY"),
])
def test_register_refuses_what_is_not_acceptable(api, name, fields, code):
    answer = api.post("/api/v1/auth/register", {"username": name, "password": PASSWORD, **fields})
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["error"]["code"] == code
    assert body["error"]["message"] == body["message"] != ""


def test_a_username_is_taken_once(api, user):
    name = user["user"]["username"]
    answer = api.post("/api/v1/auth/register", {"username": name, "password": PASSWORD})
    assert answer.status_code == 409
    assert error_code(answer) == "USERNAME_TAKEN"


def test_of_many_who_register_one_name_at_once_one_gets_it(stack, name):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Api(stack.url).post("/api/v1/auth/register",
                                                              {"username": name, "password": PASSWORD}), range(8)))
    assert sorted(a.status_code for a in answers) == [200] + [409] * 7


def test_login_by_username(api, user):
    answer = api.login(user["user"]["username"])
    assert answer.status_code == 200
    assert answer.json()["user"]["id"] == user["user"]["id"]
    assert {"access_token", "refresh_token", "token", "expiresAt"} <= answer.json().keys()


@pytest.mark.parametrize("member", ["username", "email"])
def test_login_by_email(api, name, member):
    email = f"{name}@example.org"
    user = api.register(username=name, email=email)
    answer = api.post("/api/v1/auth/login", {member: email.upper(), "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["id"] == user["user"]["id"]
    assert answer.json()["user"]["email"] == email


def test_an_unknown_user_and_a_wrong_password_look_alike(api, user, name):
    unknown = api.login(name)
    wrong = api.login(user["user"]["username"], "another password")
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.json() == wrong.json()
    assert error_code(wrong) == "INVALID_CREDENTIALS"


# ---------------------------------------------------------------------------------------------- tokens
def test_both_tokens_belong_to_one_login(user):
    short, long = claims(user["access_token"]), claims(user["token"])
    assert short["user_id"] == long["user_id"] == user["user"]["id"]
    assert short["exp"] - short["iat"] == 900
    assert long["exp"] - long["iat"] == 24 * 3600
    assert short["sid"] == long["sid"]
    assert short["jti"] != long["jti"]


@pytest.mark.parametrize("which", ["access_token", "token"])
def test_me_with_either_token(api, user, which):
    answer = api.me(user[which])
    assert answer.status_code == 200
    me = answer.json()["data"]
    assert me["id"] == user["user"]["id"] and me["username"] == user["user"]["username"]


def test_me_in_the_manner_of_sessions_is_bare(api, user):
    me = api.me(user["token"], "/api/v1/users/me").json()
    assert me["id"] == user["user"]["id"]
    assert {"fullName", "createdAt", "provider", "active", "email"} <= me.keys()


def test_a_path_may_be_percent_encoded(api, user):
    assert api.me(user["access_token"], "/api/v1/users/%40me").status_code == 200


def test_no_credential_is_refused(api):
    answer = api.get("/api/v1/users/@me")
    assert answer.status_code == 401
    assert error_code(answer) == "UNAUTHORIZED"


def forge(token, header=None, payload=None, key=b"x" * 32):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    head, body, _ = token.split(".")
    text = f"{part(header) if header else head}.{part(payload) if payload else body}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return text + "." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()


def test_forged_tokens_are_refused(api, user):
    token = user["access_token"]
    head, body, signature = token.split(".")
    later = {**claims(token), "exp": int(time.time()) + 99999}
    for bad in [
        forge(token),
        forge(token, payload=later),
        forge(token, header={"alg": "none", "typ": "JWT"}),
        f"{head}.{body}.",
        f"{head}.{body}",
        head + "." + base64.urlsafe_b64encode(json.dumps(later).encode()).rstrip(b"=").decode() + "." + signature,
        token[:-4] + ("aaaa" if token[-4:] != "aaaa" else "bbbb"),
        "x" * 5000,
        "",
        "not a token",
    ]:
        answer = api.get("/api/v1/users/@me", headers={"Authorization": f"Bearer {bad}"})
        assert answer.status_code == 401, bad


def test_refresh_gives_new_tokens_and_uses_up_the_old(api, user):
    answer = api.post("/api/v1/auth/refresh", {"refresh_token": user["refresh_token"]})
    assert answer.status_code == 200, answer.text
    fresh = answer.json()
    assert fresh["refresh_token"] != user["refresh_token"]
    assert api.me(fresh["access_token"]).status_code == 200
    again = api.post("/api/v1/auth/refresh", {"refresh_token": fresh["refresh_token"]})
    assert again.status_code == 200


@pytest.mark.parametrize("body, status, code", [
    ({}, 400, "MISSING_TOKEN"),
    ({"refresh_token": ""}, 400, "MISSING_TOKEN"),
    ({"refresh_token": "0" * 64}, 401, "INVALID_TOKEN"),
    ({"refresh_token": "no such thing"}, 401, "INVALID_TOKEN"),
    ({"refresh_token": 7}, 400, "INVALID_BODY"),
])
def test_refresh_refuses(api, body, status, code):
    answer = api.post("/api/v1/auth/refresh", body)
    assert (answer.status_code, error_code(answer)) == (status, code)


def test_a_reused_refresh_token_ends_its_family(api, api2, user):
    first = user["refresh_token"]
    fresh = api.post("/api/v1/auth/refresh", {"refresh_token": first}).json()
    reused = api.post("/api/v1/auth/refresh", {"refresh_token": first})
    assert (reused.status_code, error_code(reused)) == (401, "INVALID_TOKEN")
    # Everything of the family is dead: the thief's and the owner's.
    assert api.post("/api/v1/auth/refresh", {"refresh_token": fresh["refresh_token"]}).status_code == 401
    for token in (fresh["access_token"], user["access_token"], user["token"]):
        poll(refused(api2, token), AT_ONCE_S, "the family's tokens are refused by the other gateway")
    # Other logins of the user go on.
    assert api.login(user["user"]["username"]).status_code == 200


def test_of_many_refreshes_with_one_token_at_most_one_succeeds(stack, user):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: Api(stack.url).post(
            "/api/v1/auth/refresh", {"refresh_token": user["refresh_token"]}), range(8)))
    assert sorted(a.status_code for a in answers) == [200] + [401] * 7


def test_refresh_by_long_token_replaces_the_login(api, api2, user):
    answer = api.post("/api/v1/auth/refresh", {"token": user["token"]})
    assert answer.status_code == 200, answer.text
    fresh = answer.json()
    assert claims(fresh["token"])["sid"] != claims(user["token"])["sid"]
    poll(refused(api2, user["token"]), AT_ONCE_S, "the replaced token is refused")
    assert api2.me(fresh["token"]).status_code == 200


def test_after_logout_the_other_gateway_refuses_the_old_tokens_at_once(api, api2, user):
    assert api2.me(user["access_token"]).status_code == 200  # it knows the token already
    answer = api.post("/api/v1/auth/logout", {}, user["access_token"])
    assert answer.status_code == 204
    assert answer.content == b""
    began = time.monotonic()
    for gateway in (api2, api):
        for token in (user["access_token"], user["token"]):
            poll(refused(gateway, token), AT_ONCE_S, "the old token is refused")
    assert time.monotonic() - began < 4 * AT_ONCE_S
    assert api.post("/api/v1/auth/refresh", {"refresh_token": user["refresh_token"]}).status_code == 401


def test_logout_without_a_body(api, user):
    assert api.call("POST", "/api/v1/auth/logout", user["access_token"]).status_code == 204


def test_a_logout_leaves_other_logins_alone(api, user):
    other = api.login(user["user"]["username"]).json()
    api.post("/api/v1/auth/logout", {}, user["access_token"])
    assert api.me(other["access_token"]).status_code == 200


# ---------------------------------------------------------------------------------------------- me, password, logins
def test_display_name_and_avatar(api, user):
    token = user["access_token"]
    answer = api.call("PATCH", "/api/v1/users/@me", token, json={"display_name": "Älice ☃", "avatar_hash": "abc"})
    assert answer.status_code == 200, answer.text
    me = api.me(token).json()["data"]
    assert (me["display_name"], me["avatar_hash"]) == ("Älice ☃", "abc")
    api.call("PATCH", "/api/v1/users/@me", token, json={"display_name": None})
    assert api.me(token).json()["data"]["display_name"] == "Älice ☃"
    for bad, code in (({"display_name": ""}, "INVALID_DISPLAY_NAME"), ({"display_name": "x" * 33}, "INVALID_DISPLAY_NAME"),
                      ({"avatar": "x" * 65}, "INVALID_AVATAR")):
        answer = api.call("PATCH", "/api/v1/users/@me", token, json=bad)
        assert (answer.status_code, error_code(answer)) == (400, code)


def test_changing_the_password_ends_the_other_logins(api, api2, user):
    name, new = user["user"]["username"], "another good password"
    other = api.login(name).json()
    answer = api.post("/api/v1/auth/change-password", {"oldPassword": PASSWORD, "newPassword": new}, user["token"])
    assert answer.status_code == 200, answer.text
    assert answer.json()["message"]
    poll(refused(api2, other["access_token"]), AT_ONCE_S, "the other login is dead")
    assert api.me(user["access_token"]).status_code == 200
    assert api.login(name).status_code == 401
    assert api.login(name, new).status_code == 200


def test_changing_the_password_needs_the_old_one(api, user):
    wrong = api.post("/api/v1/auth/change-password", {"oldPassword": "wrong one", "newPassword": "long enough"},
                     user["token"])
    assert wrong.status_code == 401
    assert {"error", "message", "code"} <= wrong.json().keys()
    short = api.post("/api/v1/auth/change-password", {"oldPassword": PASSWORD, "newPassword": "short"}, user["token"])
    assert short.status_code == 400
    assert api.login(user["user"]["username"]).status_code == 200


def test_logins_are_listed_and_ended(api, api2, user):
    name, token = user["user"]["username"], user["access_token"]
    second = api.login(name, headers={"User-Agent": "a second device"}).json()
    third = api.login(name).json()
    logins = api.get("/api/v1/auth/logins", token).json()["logins"]
    assert len(logins) == 3
    assert [row["current"] for row in logins].count(True) == 1
    agents = {row["id"]: row.get("user_agent") for row in logins}
    sid = claims(second["access_token"])["sid"]
    assert agents[sid] == "a second device"

    assert api.call("DELETE", f"/api/v1/auth/logins/{sid}", token).status_code == 204
    poll(refused(api2, second["access_token"]), AT_ONCE_S, "the ended login is refused")
    assert api.me(third["access_token"]).status_code == 200

    answer = api.call("DELETE", "/api/v1/auth/logins", token)
    assert answer.status_code == 200 and answer.json()["ended"] == 1
    poll(refused(api2, third["access_token"]), AT_ONCE_S, "all others are ended")
    assert len(api.get("/api/v1/auth/logins", token).json()["logins"]) == 1


def test_logins_of_others_are_not_there(api, user):
    other = api.register()
    sid = claims(other["access_token"])["sid"]
    assert api.call("DELETE", f"/api/v1/auth/logins/{sid}", user["access_token"]).status_code == 404
    assert api.me(other["access_token"]).status_code == 200


# ---------------------------------------------------------------------------------------------- rag's manner
def test_talker_register_login_me_logout(api, api2, name):
    email = f"{name}@example.org"
    answer = api.post("/api/auth/register", {"email": email, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    first = answer.json()
    assert list(first) == ["token", "user_id", "email"]
    assert re.fullmatch(r"[0-9a-f]{64}", first["token"]) and UUID.match(first["user_id"]) and first["email"] == email

    second = api.post("/api/auth/login", {"email": email, "password": PASSWORD})
    assert second.status_code == 200
    token = second.json()["token"]
    me = api.get("/api/auth/me", token)
    assert me.status_code == 200
    assert list(me.json()) == ["id", "email", "role", "created_at"]
    assert me.json()["id"] == first["user_id"] and me.json()["role"] == "user"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", me.json()["created_at"])

    # The scheme's name in any case.
    assert api.get("/api/auth/me", headers={"Authorization": f"bEARER {token}"}).status_code == 200
    out = api.call("POST", "/api/auth/logout", token)
    assert out.status_code == 204 and out.content == b""
    poll(refused(api2, token, "/api/auth/me"), AT_ONCE_S, "the token is dead")
    assert api.get("/api/auth/me", first["token"]).status_code == 200
    # A token that nobody knows is as good as ended.
    assert api.call("POST", "/api/auth/logout", "0" * 64).status_code == 204


def test_talker_errors(api, name):
    user = api.talker_register()
    taken = api.post("/api/auth/register", {"email": user["email"].upper(), "password": PASSWORD})
    assert taken.status_code == 409
    assert taken.json().keys() == {"detail", "error_code", "request_id"}
    assert taken.json()["error_code"] == "CONFLICT"
    assert taken.json()["request_id"] == taken.headers["X-Request-ID"]

    wrong = api.post("/api/auth/login", {"email": user["email"], "password": "wrong one"})
    unknown = api.post("/api/auth/login", {"email": f"{name}@example.org", "password": "wrong one"})
    for answer in (wrong, unknown):
        assert (answer.status_code, answer.json()["error_code"]) == (401, "AUTHENTICATION_FAILED")
    assert wrong.json()["detail"] == unknown.json()["detail"]

    missing = api.get("/api/auth/me")
    assert missing.status_code == 401 and missing.json()["error_code"] == "AUTHENTICATION_FAILED"


@pytest.mark.parametrize("body, problems", [
    ({}, {("missing", "body", "email"), ("missing", "body", "password")}),
    ({"email": "a@example.org"}, {("missing", "body", "password")}),
    ({"email": "a@example.org", "password": "short"}, {("string_too_short", "body", "password")}),
    ({"email": "no address", "password": PASSWORD}, {("value_error", "body", "email")}),
    ({"email": 5, "password": PASSWORD}, {("string_type", "body", "email")}),
    ({"email": None, "password": PASSWORD}, {("string_type", "body", "email")}),
])
def test_talker_validation_lists_all_problems(api, body, problems):
    answer = api.post("/api/auth/register", body)
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    assert {(row["type"], *row["loc"]) for row in detail} == problems
    assert all({"type", "loc", "msg", "input"} <= row.keys() for row in detail)
    assert "short" not in json.dumps([row["input"] for row in detail])  # no password comes back


def test_talker_password_change(api, api2):
    user = api.talker_register()
    other = api.post("/api/auth/login", {"email": user["email"], "password": PASSWORD}).json()["token"]
    path, new = "/api/auth/change-password", "another good password"
    wrong = api.post(path, {"old_password": "wrong one", "new_password": new}, user["token"])
    assert (wrong.status_code, wrong.json()["error_code"]) == (401, "AUTHENTICATION_FAILED")
    assert api.post(path, {"old_password": PASSWORD, "new_password": "short"}, user["token"]).status_code == 422
    good = api.post(path, {"old_password": PASSWORD, "new_password": new}, user["token"])
    assert good.status_code == 200 and good.json()["message"]
    poll(refused(api2, other, "/api/auth/me"), AT_ONCE_S, "the other login is dead")
    assert api.post("/api/auth/login", {"email": user["email"], "password": new}).status_code == 200


def test_one_account_serves_both_manners(api, name):
    email = f"{name}@example.org"
    account = api.register(username=name, email=email)
    token = api.post("/api/auth/login", {"email": email, "password": PASSWORD}).json()
    assert api.me(token["token"]).json()["data"]["id"] == account["user"]["id"]
    assert api.get("/api/auth/me", account["access_token"]).json()["id"] == token["user_id"]


# ---------------------------------------------------------------------------------------------- operators
@pytest.mark.local
def test_the_first_administrator_is_there(stack, api):
    answer = api.login("admin", stack.secret("admin_password"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["role"] == "admin"


@pytest.mark.local
@pytest.mark.parametrize("role", ["user", "operator", "admin"])
def test_operators_make_accounts(stack, api, name, role):
    said = stack.atrium("user", "create", name, "--role", role, "--email", f"{name}@example.org")
    password = re.search(r"password: (\S+)", said).group(1)
    answer = api.login(name, password)
    assert answer.status_code == 200, answer.text
    assert answer.json()["user"]["role"] == role
    assert api.login(f"{name}@example.org", password).status_code == 200


@pytest.mark.local
def test_operators_choose_a_password_which_is_not_repeated(stack, api, name):
    said = stack.atrium("user", "create", name, "--password", "-", stdin=PASSWORD + "\n")
    assert PASSWORD not in said and "password" not in said
    assert api.login(name).status_code == 200
    again = stack.run("user", "create", name, "--password", PASSWORD)
    assert again.returncode == 1 and "taken" in again.stderr


@pytest.mark.local
def test_no_password_or_token_is_logged(stack, api, name):
    secret = "s3cret-" + secrets.token_hex(8)
    user = api.register(username=name, password=secret)
    api.login(name, secret + "x")
    api.post("/api/v1/auth/register", {"username": "!", "password": secret})
    log = stack.log("auth") + stack.log("gateway")
    assert secret not in log
    assert user["access_token"] not in log and user["refresh_token"] not in log
