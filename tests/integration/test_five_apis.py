"""One account for five APIs: made through any of them, it signs in through all whose credentials it has, and adds those
that it misses; what one API's credential is good for, every other's is; and what ends, ends everywhere."""
import secrets

import pytest

from api import PASSWORD, Api
from cut import credentials, cut

pytestmark = pytest.mark.local
STRONG = "Correct horse 9!"
ACCOUNT, USERS = "/api/v1/auth/account", "/api/v1/auth/users"


@pytest.fixture(scope="module")
def admin(stack):
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


# ---------------------------------------------------------------------------------------------- how accounts are made
def made_by_chat(api, admin, name):
    api.register(username=name)
    return {"name": name, "password": PASSWORD}


def made_by_sessions(api, admin, name):
    """By an administrator: its users do not register."""
    answer = api.post("/api/v1/users", {"username": name, "email": f"{name}@example.org", "fullName": "Some Body",
                                        "password": STRONG}, admin)
    assert answer.status_code == 201, answer.text
    return {"name": name, "email": f"{name}@example.org", "password": STRONG}


def made_by_events(api, admin, name):
    """By invitation."""
    made = api.post("/api/v1/admin/users", {"username": name, "email": f"{name}@example.org", "role": "viewer"}, admin)
    assert made.status_code == 201, made.text
    token = made.json()["invitation_url"].split("token=")[1]
    answer = api.post("/api/v1/accept-invitation", {"token": token, "password": STRONG})
    assert answer.status_code == 200, answer.text
    return {"name": name, "email": f"{name}@example.org", "password": STRONG}


def made_by_rag(api, admin, name):
    """Without a username: one is made for it."""
    email = f"{name}@example.org"
    token = api.talker_register(email=email)["token"]
    return {"name": api.get(ACCOUNT, token).json()["username"], "email": email, "password": PASSWORD}


MAKERS = [made_by_chat, made_by_sessions, made_by_events, made_by_rag]


# ---------------------------------------------------------------------------------------------- how they sign in
def chat(api, who, password):
    return api.login(who, password), "access_token"


def sessions(api, who, password):
    return api.login(who, password), "token"


def events(api, who, password):
    answer = api.post("/api/v1/admin/login", {"username": who, "password": password})
    api.session.cookies.clear()
    return answer, "token"


def rag(api, who, password):
    return api.post("/api/auth/login", {"email": who, "password": password}), "token"


DOORS = {"chat": chat, "sessions": sessions, "events": events, "rag": rag}


def sign_in(api, door, who, password):
    answer, field = DOORS[door](api, who, password)
    assert answer.status_code == 200, f"{door} as {who}: {answer.text}"
    return answer.json()[field]


def sign_in_everywhere(api, account):
    """A token by each door, for each name that the account goes by."""
    return {f"{door} as {who}": sign_in(api, door, who, account["password"])
            for door in DOORS for who in (account["name"], account.get("email")) if who}


# Where each API shows a caller who he is, and under which name.
SHOWN = {
    "/api/v1/users/@me": lambda body: body["data"]["username"],  # chat
    "/api/v1/users/me": lambda body: body["username"],  # sessions
    "/auth/me": lambda body: body["username"],  # media
    ACCOUNT: lambda body: body["username"],
}


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def account(request, api, admin, name):
    return request.param(api, admin, name)


def test_it_signs_in_through_every_api(api, account):
    for door, token in sign_in_everywhere(api, account).items():
        for path, name_of in SHOWN.items():
            answer = api.get(path, token)
            assert answer.status_code == 200, f"{door}: {path}: {answer.text}"
            assert name_of(answer.json()) == account["name"], f"{door}: {path}"
        assert api.get("/api/auth/me", token).status_code == 200, door  # rag


@pytest.mark.parametrize("door", DOORS)
def test_a_wrong_password_is_wrong_at_every_door(api, account, door):
    answer, _ = DOORS[door](api, account["name"], "not " + account["password"])
    assert answer.status_code == 401, answer.text


def test_it_adds_what_it_misses(api, account):
    """An address to log in with, another username, another password: each counts at all doors."""
    token = sign_in(api, "chat", account["name"], account["password"])
    account["name"], account["email"] = "n" + secrets.token_hex(6), f"{secrets.token_hex(6)}@example.org"
    changed = api.call("PATCH", ACCOUNT, token, json={"username": account["name"], "email": account["email"],
                                                      "password": account["password"]})
    assert changed.status_code == 200, changed.text
    assert len(sign_in_everywhere(api, account)) == 2 * len(DOORS)
    answer = api.post("/api/v1/auth/change-password", {"oldPassword": account["password"], "newPassword": "x" * 20}, token)
    assert answer.status_code == 200, answer.text
    account["password"] = "x" * 20
    assert len(sign_in_everywhere(api, account)) == 2 * len(DOORS)


# ---------------------------------------------------------------------------------------------- how it ends
def test_deactivation_cuts_every_credential_at_every_gateway(api, api2, admin, account):
    tokens = sign_in_everywhere(api, account)
    key = api.post("/api/v1/api-keys", {"name": "k", "scopes": ["full"]}, next(iter(tokens.values())))
    assert key.status_code == 201, key.text
    tokens["API key"] = key.json()["key"]
    id_ = api.get(ACCOUNT, next(iter(tokens.values()))).json()["id"]
    cut(credentials((api, api2), tokens),
        lambda: api.post(f"/api/v1/admin/users/{id_}/deactivate", token=admin).raise_for_status())
    for door in DOORS:
        assert DOORS[door](api, account["name"], account["password"])[0].status_code == 401, door


LOGOUTS = {
    "chat": ("/api/v1/auth/logout", {}),
    "sessions": ("/api/v1/auth/logout", {}),
    "events": ("/api/v1/admin/logout", None),
    "rag": ("/api/auth/logout", None),
    "media": ("/auth/logout?all=false", None),
}


@pytest.mark.parametrize("logout", LOGOUTS)
@pytest.mark.parametrize("door", DOORS)
def test_a_logout_in_any_manner_cuts_that_login_and_no_other(api, api2, name, door, logout):
    api.register(username=name)
    other, token = sign_in(api, "chat", name, PASSWORD), sign_in(api, door, name, PASSWORD)
    path, body = LOGOUTS[logout]
    answer = []
    cut(credentials((api, api2), {door: token}), lambda: answer.append(api.post(path, body, token)))
    assert answer[0].status_code in (200, 204), answer[0].text
    assert all(is_open() for is_open in credentials((api, api2), {"other": other}).values())
