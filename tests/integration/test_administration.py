"""Administration of accounts over HTTP, in the manner of each contract that has it."""
import concurrent.futures
import secrets
import string

import pytest

from api import PASSWORD, Api
from polling import PATIENCE, poll
from stack import Stack

pytestmark = pytest.mark.local
STRONG = "Correct horse 9!"
# Deactivation cuts within a second, of which tests allow five times as much.
CUT_S = 1.0 * PATIENCE
EVENTS, SESSIONS, RAG = "/api/v1/admin/users", "/api/v1/users", "/api/admin/users"


@pytest.fixture(scope="session")
def admin(stack):
    """The token of an administrator."""
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return Api(stack.url).login(name).json()["access_token"]


@pytest.fixture
def email(name):
    return f"{name}@example.org"


def create(api, admin, name, email, role="viewer"):
    return api.post(EVENTS, {"username": name, "email": email, "role": role}, admin)


def token_of(url):
    return url.split("token=")[1]


# ---------------------------------------------------------------------------------------------- events
def test_an_invited_account_is_pending_until_it_has_a_password(api, admin, name, email):
    made = create(api, admin, name, email, "editor")
    assert made.status_code == 201, made.text
    user = made.json()
    assert (user["status"], user["is_active"], user["role"]) == ("pending", False, "editor")
    assert user["invitation_sent"] is False and user["invitation_url"].startswith("http")
    assert api.login(name, STRONG).status_code == 401
    accepted = api.post("/api/v1/accept-invitation", {"token": token_of(user["invitation_url"]), "password": STRONG})
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["user"]["status"] == "active"
    assert accepted.json()["message"]
    assert api.login(name, STRONG).status_code == 200
    assert api.get(f"{EVENTS}/{user['id']}", admin).json()["last_login_at"]


@pytest.mark.parametrize("fields, status, slug", [
    ({"username": "x"}, 400, "validation-error"),
    ({"email": "nothing"}, 400, "validation-error"),
    ({"role": "emperor"}, 400, "validation-error"),
])
def test_what_cannot_be_made_is_a_problem(api, admin, name, email, fields, status, slug):
    answer = api.post(EVENTS, {"username": name, "email": email, "role": "viewer", **fields}, admin)
    assert answer.status_code == status, answer.text
    assert answer.json()["type"].endswith("/" + slug)


def test_names_and_addresses_are_taken_once(api, admin, name, email):
    assert create(api, admin, name, email).status_code == 201
    for other in ((name, "x" + email), ("x" + name, email)):
        answer = create(api, admin, *other)
        assert answer.status_code == 409
        assert answer.json()["type"].endswith("/conflict")


@pytest.mark.parametrize("password, slug", [("short", "weak-password"), ("x" * 129, "weak-password"),
                                            ("nouppercase9!", "weak-password"), (STRONG, "invalid-invitation")])
def test_a_weak_password_and_a_bad_token_have_their_own_problems(api, admin, name, email, password, slug):
    token = token_of(create(api, admin, name, email).json()["invitation_url"])
    answer = api.post("/api/v1/dev/accept-invitation",
                      {"token": token if slug == "weak-password" else "nonsense", "password": password})
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("/" + slug)


def test_a_changed_user(api, admin, name, email):
    user = create(api, admin, name, email).json()
    path = f"{EVENTS}/{user['id']}"
    changed = api.call("PUT", path, admin, json={"role": "editor"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["role"], changed.json()["email"]) == ("editor", email)
    again = api.post(f"{path}/resend-invitation", token=admin)
    assert again.status_code == 200 and again.json()["invitation_url"] != user["invitation_url"]


def test_a_deleted_user_is_gone(api, admin):
    user = api.register()
    path = f"{EVENTS}/{user['user']['id']}"
    assert api.call("DELETE", path, admin).status_code == 204
    assert api.get(path, admin).status_code == 404
    assert api.call("DELETE", path, admin).status_code == 404
    assert api.login(user["user"]["username"]).status_code == 401
    assert api.me(user["access_token"]).status_code == 401


def test_the_list_comes_in_parts(api, admin, name):
    made = [create(api, admin, f"{name}{i}", f"{name}{i}@example.org").json()["id"] for i in range(3)]
    first = api.get(EVENTS, admin, params={"q": name, "limit": 2}).json()
    second = api.get(EVENTS, admin, params={"q": name, "limit": 2, "after": first["next_cursor"]}).json()
    assert [u["id"] for u in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] == ""
    assert api.get(EVENTS, admin, params={"limit": 201}).status_code == 400
    assert api.get(EVENTS, admin, params={"after": "nonsense"}).status_code == 400


def test_deactivation_cuts_everything_at_both_gateways(api, api2, admin):
    user = api.register()
    second = api2.login(user["user"]["username"]).json()
    key = api.post("/api/v1/api-keys", {"name": "k", "scopes": ["full"]}, user["access_token"])
    assert key.status_code == 201, key.text
    credentials = [user["access_token"], user["token"], second["access_token"], key.json()["key"]]
    for gateway in (api, api2):
        assert all(gateway.me(c).status_code == 200 for c in credentials)
    assert api.post(f"{EVENTS}/{user['user']['id']}/deactivate", token=admin).json()["status"] == "inactive"
    for gateway in (api, api2):
        poll(lambda g=gateway: all(g.me(c).status_code == 401 for c in credentials), CUT_S)
    assert api.login(user["user"]["username"]).status_code == 401
    assert api.post("/api/v1/auth/refresh", {"refresh_token": user["refresh_token"]}).status_code == 401
    assert api.post(f"{EVENTS}/{user['user']['id']}/activate", token=admin).json()["status"] == "active"
    assert api.login(user["user"]["username"]).status_code == 200


def test_what_was_done_can_be_read(api, admin):
    user = api.register()["user"]
    api.post(f"{EVENTS}/{user['id']}/deactivate", token=admin)
    entry = api.get(f"{EVENTS}/{user['id']}/activity", admin).json()["items"][0]
    assert entry["action"] == "user.deactivated"
    assert entry["actor_id"] and entry["address"] and entry["request_id"]
    listed = api.get("/api/v1/admin/audit", admin, params={"target_id": user["id"], "action": "user.deactivated"})
    assert [i["id"] for i in listed.json()["items"]] == [entry["id"]]


# ---------------------------------------------------------------------------------------------- every change is noted
CHANGES = [
    ("POST", EVENTS, lambda n: {"username": n, "email": f"{n}@example.org", "role": "viewer"}, "user.created"),
    ("PUT", EVENTS + "/{id}", lambda n: {"email": f"{n}@example.org"}, "user.updated"),
    ("POST", EVENTS + "/{id}/deactivate", None, "user.deactivated"),
    ("DELETE", EVENTS + "/{id}", None, "user.deleted"),
    ("POST", SESSIONS, lambda n: {"username": n, "email": f"{n}@example.org", "fullName": "N", "password": STRONG},
     "user.created"),
    ("PATCH", SESSIONS + "/{id}", lambda n: {"fullName": "Other"}, "user.updated"),
    ("DELETE", SESSIONS + "/{id}", None, "user.deleted"),
    ("POST", RAG, lambda n: {"email": f"{n}@example.org"}, "user.created"),
    ("PATCH", RAG + "/{uuid}", lambda n: {"role": "admin"}, "user.updated"),
    ("POST", RAG + "/{uuid}/reset-password", None, "user.password_reset"),
    ("DELETE", RAG + "/{uuid}", None, "user.deleted"),
    ("POST", "/api/admin/settings/registration", lambda n: {"enabled": True}, "setting.changed"),
    ("POST", "/api/v1/auth/invitations", lambda n: {}, "invitation.created"),
]


def audit_of(api, admin, **params):
    return api.get("/api/v1/admin/audit", admin, params={"limit": 200, **params}).json()["items"]


@pytest.mark.parametrize("method, path, body, action", CHANGES, ids=[f"{m} {p}" for m, p, _, _ in CHANGES])
def test_every_change_is_noted_once(api, admin, name, method, path, body, action):
    target = api.register()["user"]["id"]
    uuid = api.get(f"{EVENTS}/{target}", admin).json()["id"]
    before = {i["id"] for i in audit_of(api, admin)}
    answer = api.call(method, path.format(id=target, uuid=uuid), admin, json=body(name) if body else None)
    assert answer.status_code in (200, 201, 204), answer.text
    new = [i for i in audit_of(api, admin) if i["id"] not in before]
    assert action in {i["action"] for i in new}
    assert PASSWORD not in str(new) and STRONG not in str(new)


# ---------------------------------------------------------------------------------------------- sessions
def test_plain_users_get_names_only(api, user):
    listed = api.get(SESSIONS, user["token"])
    assert listed.status_code == 200
    assert listed.json()["total"] >= 1
    mine = next(u for u in listed.json()["users"] if u["username"] == user["user"]["username"])
    assert mine.keys() <= {"id", "username", "fullName", "email"} and not mine.get("email")


def test_sessions_users(api, admin, name, email):
    body = {"username": name, "email": email, "fullName": "Some Body", "password": "long enough"}
    made = api.post(SESSIONS, body, admin)
    assert made.status_code == 201, made.text
    assert made.json()["fullName"] == "Some Body" and made.json()["role"] == "user"
    assert api.post(SESSIONS, body, admin).status_code == 409
    assert api.get(f"{SESSIONS}/{name}", admin).json()["id"] == made.json()["id"]
    changed = api.call("PATCH", f"{SESSIONS}/{name}", admin, json={"active": False})
    assert changed.status_code == 200 and changed.json()["active"] is False
    gone = api.call("DELETE", f"{SESSIONS}/{name}", admin)
    assert gone.status_code == 200 and gone.json()["message"]
    assert api.get(f"{SESSIONS}/{name}", admin).status_code == 404


def test_users_change_themselves(api, user, name):
    path = f"{SESSIONS}/{user['user']['id']}"
    body = {"email": f"{name}@example.org", "fullName": "Me"}
    alone = api.call("PATCH", path, user["token"], json=body)
    assert alone.status_code == 403 and alone.json()["code"] == "NOT_PROVED"
    changed = api.call("PATCH", path, user["token"], json={**body, "password": PASSWORD})
    assert changed.status_code == 200 and changed.json()["fullName"] == "Me" and changed.json()["email"] == body["email"]
    assert api.call("PATCH", path, user["token"], json={"role": "admin"}).status_code == 403
    assert api.call("DELETE", path, user["token"]).status_code == 403


# ---------------------------------------------------------------------------------------------- rag
def test_rag_users(api, admin, name, email):
    made = api.post(RAG, {"email": email}, admin)
    assert made.status_code == 201, made.text
    password, user = made.json()["generated_password"], made.json()["user"]
    assert len(password) == 16
    for kind in (string.ascii_uppercase, string.ascii_lowercase, string.digits, string.punctuation):
        assert set(password) & set(kind)
    assert user.keys() == {"id", "email", "role", "transcript_count", "created_at"}
    token = api.post("/api/auth/login", {"email": email, "password": password}).json()["token"]
    reset = api.post(f"{RAG}/{user['id']}/reset-password", token=admin)
    assert reset.status_code == 200 and reset.json()["generated_password"] != password
    poll(lambda: api.get("/api/auth/me", token).status_code == 401, CUT_S)
    assert api.get(RAG, admin).json()[0].keys() == user.keys()
    assert api.post(RAG, {"email": email}, admin).status_code == 409
    assert api.post(RAG, {"email": "nothing"}, admin).status_code == 422
    assert api.get(RAG, admin, params={"limit": 101}).status_code == 422
    assert api.call("DELETE", f"{RAG}/{user['id']}", admin).status_code == 204
    assert api.call("DELETE", f"{RAG}/{user['id']}", admin).status_code == 404


def test_oneself_is_left_alone(api, stack):
    name = "m" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    token = api.login(name).json()["access_token"]
    own = api.get(f"{SESSIONS}/me", token).json()["id"]
    uuid = api.get(f"{EVENTS}/{own}", token).json()["id"]
    assert api.post(f"{RAG}/{uuid}/reset-password", token=token).status_code == 400
    assert api.call("DELETE", f"{RAG}/{uuid}", token).status_code == 400
    assert api.call("PATCH", f"{RAG}/{uuid}", token, json={"role": "user"}).status_code == 400
    assert api.call("DELETE", f"{EVENTS}/{uuid}", token).status_code == 409
    assert api.call("PUT", f"{EVENTS}/{uuid}", token, json={"role": "viewer"}).status_code == 409
    assert api.call("DELETE", f"{SESSIONS}/me", token).status_code == 400


# ---------------------------------------------------------------------------------------------- registration
def test_registration_off_and_on(api, admin, name):
    path = "/api/admin/settings/registration"
    assert api.get(path, admin).json() == {"enabled": True}
    try:
        assert api.post(path, {"enabled": False}, admin).json() == {"enabled": False}
        assert api.post("/api/v1/auth/register", {"username": name, "password": PASSWORD}).status_code == 403
        talker = api.post("/api/auth/register", {"email": f"{name}@example.org", "password": PASSWORD})
        assert talker.status_code == 403 and "Registration is currently disabled" in talker.text
    finally:
        assert api.post(path, {"enabled": True}, admin).status_code == 200
    assert api.post("/api/v1/auth/register", {"username": name, "password": PASSWORD}).status_code == 200
    assert api.post(path, {}, admin).status_code == 422


def test_an_invitation_gives_its_role_and_is_used_up(api, admin, name):
    made = api.post("/api/v1/auth/invitations", {"role": "operator", "uses": 1}, admin).json()
    body = {"username": name, "password": PASSWORD, "invitation": made["token"]}
    joined = api.post("/api/v1/auth/register", body)
    assert joined.status_code == 200 and joined.json()["user"]["role"] == "operator"
    again = api.post("/api/v1/auth/register", {**body, "username": "x" + name})
    assert again.status_code == 400 and again.json()["error"]["code"] == "INVALID_INVITATION"


# ---------------------------------------------------------------------------------------------- setup
def test_the_first_start():
    """A stack of its own: nobody administers it yet."""
    own = Stack(settings={"REGISTRATION": "invite", "ADMIN_PASSWORD_FILE": "/dev/null"})
    body = {"password": STRONG, "passwordConfirm": STRONG, "email": "root@example.org"}
    try:
        api = Api(own.up().url)
        before = api.get("/api/v1/auth/setup/status").json()
        assert (before["setupRequired"], before["adminExists"], before["hasPassword"]) == (True, False, False)
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: Api(own.url).post("/api/v1/auth/setup", body), range(10)))
        statuses = [a.status_code for a in answers]
        assert statuses.count(200) == 1 and set(statuses) <= {200, 403, 409}, statuses
        assert api.get("/api/v1/auth/setup/status").json()["setupRequired"] is False
        late = api.post("/api/v1/auth/setup", body)
        assert late.status_code == 403 and "ADMIN_PASSWORD_RESET" in late.text
        admin = api.login("admin", STRONG).json()["access_token"]
        assert api.post("/api/v1/auth/register", {"username": "eve", "password": PASSWORD}).status_code == 403
        token = api.post("/api/v1/auth/invitations", {"uses": 3}, admin).json()["token"]
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda i: Api(own.url).post(
                "/api/v1/auth/register", {"username": f"eve{i}", "password": PASSWORD, "invitation": token}), range(10)))
        assert sorted(a.status_code for a in answers) == [200] * 3 + [400] * 7
    finally:
        own.destroy()


# ---------------------------------------------------------------------------------------------- developers
def test_a_developer_makes_as_many_keys_as_he_may(api, admin, email):
    developers = "/api/v1/admin/developers"
    made = api.post(f"{developers}/invite", {"email": email, "name": "Dev Eloper", "max_keys": 1}, admin)
    assert made.status_code == 201, made.text
    path = f"{developers}/{made.json()['user_id']}"
    accepted = api.post("/api/v1/dev/accept-invitation",
                        {"token": token_of(made.json()["invitation_url"]), "password": STRONG})
    assert accepted.status_code == 200, accepted.text
    token = api.login(email, STRONG).json()["access_token"]
    keys = [api.post("/api/v1/dev/api-keys", {"name": "k"}, token) for _ in range(2)]
    assert [k.status_code for k in keys] == [201, 403]
    assert api.get(path, admin).json()["key_count"] == 1
    assert api.call("PUT", path, admin, json={"max_keys": 2}).json()["max_keys"] == 2
    assert api.post("/api/v1/dev/api-keys", {"name": "k"}, token).status_code == 201
    listed = api.get(developers, admin, params={"q": email}).json()["items"]
    assert [(d["email"], d["key_count"], d["is_active"]) for d in listed] == [(email, 2, True)]
    assert api.call("DELETE", path, admin).status_code == 204
    assert api.get(path, admin).status_code == 404
    poll(lambda: api.post("/api/v1/dev/api-keys", {"name": "k"}, token).status_code == 403, CUT_S)
    assert api.me(token).status_code == 200
