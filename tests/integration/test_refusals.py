"""Every route of the auth domain says no in the words of its contract: a table, written by hand, of what each refuses
beside strangers and the unprivileged (tests/matrix has those). A route without a row is found missing."""
import re
import secrets

import pytest

from api import PASSWORD, Api
from stack import running

pytestmark = pytest.mark.local
STRONG = "Correct horse 9!"
CHAT, SESSIONS = "/api/v1/auth", "/api/v1/users"
EVENTS, RAG = "/api/v1/admin/users", "/api/admin/users"
ADMIN_KEYS, OWN_KEYS, KEYS = "/api/v1/admin/api-keys", "/api/v1/dev/api-keys", "/api/v1/api-keys"
DEVELOPERS, GROUPS = "/api/v1/admin/developers", "/api/v1/groups"
NO_UUID = "0197a3c0-0000-7000-8000-000000000001"
NOBODY = "61747269-756d-8000-8000-000000000001"  # user id 1 in its UUID form

# Who asks ("-" nobody, "user", "admin"), what, and what is said. {…}: see `facts`.
ROWS = [
    # --- chat and sessions
    ("-", "POST", f"{CHAT}/register", {"username": "x", "password": PASSWORD}, 400, "INVALID_USERNAME"),
    ("-", "POST", f"{CHAT}/login", [], 400, "INVALID_BODY"),
    ("-", "POST", f"{CHAT}/login", {"username": "{user}"}, 401, "INVALID_CREDENTIALS"),
    ("-", "POST", f"{CHAT}/login", {"username": "{user}", "password": "x" * 2000}, 401, "INVALID_CREDENTIALS"),
    ("-", "POST", f"{CHAT}/refresh", {}, 400, "MISSING_TOKEN"),
    ("-", "POST", f"{CHAT}/refresh", {"token": "a.b.c"}, 401, "INVALID_TOKEN"),
    ("-", "POST", f"{CHAT}/refresh", {"token": "{access_token}"}, 401, "INVALID_TOKEN"),  # the short one is none
    ("user", "POST", f"{CHAT}/logout", {"refresh_token": 5}, 400, "INVALID_BODY"),
    ("-", "GET", f"{SESSIONS}/@me", None, 401, "UNAUTHORIZED"),
    ("user", "PATCH", f"{SESSIONS}/@me", {"display_name": ""}, 400, "INVALID_DISPLAY_NAME"),
    ("-", "GET", f"{SESSIONS}/me", None, 401, "UNAUTHORIZED"),
    ("user", "POST", f"{CHAT}/change-password", {"newPassword": STRONG}, 400, "VALIDATION_FAILED"),
    ("user", "POST", f"{CHAT}/change-password", {"oldPassword": "wrong", "newPassword": STRONG}, 401,
     "INVALID_CREDENTIALS"),
    ("-", "GET", f"{CHAT}/logins", None, 401, "UNAUTHORIZED"),
    ("-", "DELETE", f"{CHAT}/logins", None, 401, "UNAUTHORIZED"),
    ("user", "DELETE", f"{CHAT}/logins/nonsense", None, 400, "INVALID_ID"),
    ("user", "DELETE", f"{CHAT}/logins/{NO_UUID}", None, 404, "NOT_FOUND"),
    ("-", "GET", f"{CHAT}/saml/login", None, 503, "SERVICE_UNAVAILABLE"),
    ("-", "POST", f"{CHAT}/saml/acs", None, 503, "SERVICE_UNAVAILABLE"),
    ("-", "GET", f"{CHAT}/saml/metadata", None, 503, "SERVICE_UNAVAILABLE"),
    ("-", "POST", f"{CHAT}/setup", {"password": "short", "passwordConfirm": "short", "email": "{mail}"}, 400,
     "VALIDATION_FAILED"),
    ("-", "POST", f"{CHAT}/setup", {"password": STRONG, "passwordConfirm": "another one", "email": "{mail}"}, 400,
     "VALIDATION_FAILED"),
    ("-", "POST", f"{CHAT}/setup", {"password": STRONG, "passwordConfirm": STRONG, "email": "nothing"}, 400,
     "VALIDATION_FAILED"),
    ("-", "POST", f"{CHAT}/setup", {"password": STRONG, "passwordConfirm": STRONG, "email": "{mail}"}, 403, "FORBIDDEN"),
    # --- sessions: users, groups, keys
    ("-", "GET", SESSIONS, None, 401, "UNAUTHORIZED"),
    ("admin", "POST", SESSIONS, {"username": "{new}", "email": "{mail}", "password": STRONG}, 400, "VALIDATION_FAILED"),
    ("admin", "POST", SESSIONS, {"username": "x", "email": "{mail}", "fullName": "N", "password": STRONG}, 400,
     "VALIDATION_FAILED"),
    ("admin", "POST", SESSIONS, {"username": "{new}", "email": "{mail}", "fullName": "N", "password": "short"}, 400,
     "VALIDATION_FAILED"),
    ("admin", "POST", SESSIONS, {"username": "{user}", "email": "{mail}", "fullName": "N", "password": STRONG}, 409,
     "CONFLICT"),
    ("admin", "GET", f"{SESSIONS}/nobody_there", None, 404, "USER_NOT_FOUND"),
    ("admin", "PATCH", f"{SESSIONS}/nobody_there", {"fullName": "N"}, 404, "USER_NOT_FOUND"),
    ("admin", "PATCH", f"{SESSIONS}/{{id}}", {"email": "nothing"}, 400, "VALIDATION_FAILED"),
    ("admin", "PATCH", f"{SESSIONS}/{{id}}", {"role": "emperor"}, 400, "VALIDATION_FAILED"),
    ("user", "PATCH", f"{SESSIONS}/{{id}}", {"email": "{mail}"}, 403, "NOT_PROVED"),
    ("admin", "DELETE", f"{SESSIONS}/nobody_there", None, 404, "USER_NOT_FOUND"),
    ("user", "GET", f"{SESSIONS}/1/groups", None, 403, "FORBIDDEN"),
    ("user", "GET", f"{SESSIONS}/nobody_there/groups", None, 400, "BAD_REQUEST"),
    ("user", "GET", GROUPS, None, 403, "FORBIDDEN"),
    ("admin", "POST", GROUPS, {"name": "{new}", "type": "team"}, 400, "VALIDATION_FAILED"),
    ("admin", "GET", f"{GROUPS}/nonsense", None, 404, "GROUP_NOT_FOUND"),
    ("admin", "PATCH", f"{GROUPS}/nonsense", {"displayName": "N"}, 404, "GROUP_NOT_FOUND"),
    ("admin", "PATCH", f"{GROUPS}/all-users", {"displayName": ""}, 400, "VALIDATION_FAILED"),
    ("admin", "DELETE", f"{GROUPS}/nonsense", None, 404, "GROUP_NOT_FOUND"),
    ("admin", "DELETE", f"{GROUPS}/all-users", None, 409, "CONFLICT"),
    ("admin", "GET", f"{GROUPS}/nonsense/members", None, 404, "GROUP_NOT_FOUND"),
    ("admin", "POST", f"{GROUPS}/nonsense/members", {"userId": "{id}"}, 404, "GROUP_NOT_FOUND"),
    ("admin", "POST", f"{GROUPS}/all-users/members", {"userId": "{id}"}, 409, "CONFLICT"),
    ("admin", "POST", f"{GROUPS}/{{group}}/members", {"userId": "nobody_there"}, 404, "NOT_FOUND"),
    ("admin", "POST", f"{GROUPS}/{{group}}/members", {"userId": "{id}", "role": "emperor"}, 400, "VALIDATION_FAILED"),
    ("admin", "PATCH", f"{GROUPS}/{{group}}/members/{{id}}", {"role": "viewer"}, 404, "NOT_FOUND"),
    ("admin", "DELETE", f"{GROUPS}/{{group}}/members/{{id}}", None, 404, "NOT_FOUND"),
    ("user", "POST", KEYS, {"name": ""}, 400, "VALIDATION_FAILED"),
    ("user", "POST", KEYS, {"name": "k", "scopes": ["everything"]}, 400, "VALIDATION_FAILED"),
    ("user", "POST", KEYS, {"name": "k", "scopes": ["auth.users.write"]}, 403, "FORBIDDEN"),
    ("user", "POST", KEYS, {"name": "k", "expiresAt": "2001-01-01T00:00:00Z"}, 400, "VALIDATION_FAILED"),
    ("-", "GET", KEYS, None, 401, "UNAUTHORIZED"),
    ("user", "DELETE", f"{KEYS}/nonsense", None, 400, "BAD_REQUEST"),
    ("user", "DELETE", f"{KEYS}/{NO_UUID}", None, 404, "NOT_FOUND"),
    # --- events: console, portal, users, developers, keys
    ("-", "POST", "/api/v1/admin/login", {"username": "{user}"}, 400, "validation-error"),
    ("-", "POST", "/api/v1/admin/login", {"username": "{user}", "password": "wrong"}, 401, "unauthorized"),
    ("-", "POST", "/api/v1/dev/login", {"username": "{user}", "password": PASSWORD}, 403, "forbidden"),
    ("admin", "POST", EVENTS, {"username": "x", "email": "{mail}"}, 400, "validation-error"),
    ("admin", "POST", EVENTS, {"username": "{user}", "email": "{mail}"}, 409, "conflict"),
    ("admin", "GET", f"{EVENTS}?status=odd", None, 400, "validation-error"),
    ("admin", "GET", f"{EVENTS}/{NOBODY}", None, 404, "not-found"),
    ("admin", "GET", f"{EVENTS}/nonsense", None, 400, "validation-error"),
    ("admin", "PUT", f"{EVENTS}/{NOBODY}", {"role": "viewer"}, 404, "not-found"),
    ("admin", "PUT", f"{EVENTS}/{{uuid}}", {"role": "emperor"}, 400, "validation-error"),
    ("admin", "PUT", f"{EVENTS}/{{uuid}}", {"username": "admin"}, 409, "conflict"),
    ("admin", "DELETE", f"{EVENTS}/{NOBODY}", None, 404, "not-found"),
    ("admin", "POST", f"{EVENTS}/{NOBODY}/activate", None, 404, "not-found"),
    ("admin", "POST", f"{EVENTS}/{NOBODY}/deactivate", None, 404, "not-found"),
    ("admin", "POST", f"{EVENTS}/{{own}}/deactivate", None, 409, "conflict"),
    ("admin", "POST", f"{EVENTS}/{NOBODY}/resend-invitation", None, 404, "not-found"),
    ("admin", "POST", f"{EVENTS}/{{uuid}}/resend-invitation", None, 409, "conflict"),
    ("admin", "GET", f"{EVENTS}/nonsense/activity", None, 400, "validation-error"),
    ("admin", "GET", "/api/v1/admin/audit?limit=9999", None, 400, "validation-error"),
    ("admin", "POST", f"{DEVELOPERS}/invite", {"email": "nothing", "name": "N"}, 400, "validation-error"),
    ("admin", "POST", f"{DEVELOPERS}/invite", {"email": "{mail}"}, 400, "validation-error"),
    ("admin", "POST", f"{DEVELOPERS}/invite", {"email": "{taken}", "name": "N"}, 409, "conflict"),
    ("admin", "GET", f"{DEVELOPERS}?limit=9999", None, 400, "validation-error"),
    ("admin", "GET", f"{DEVELOPERS}/{{uuid}}", None, 404, "not-found"),
    ("admin", "PUT", f"{DEVELOPERS}/{{uuid}}", {"max_keys": 3}, 404, "not-found"),
    ("admin", "PUT", f"{DEVELOPERS}/{{uuid}}", {"max_keys": -1}, 400, "validation-error"),
    ("admin", "DELETE", f"{DEVELOPERS}/{{uuid}}", None, 404, "not-found"),
    ("-", "POST", "/api/v1/accept-invitation", {"token": "nonsense", "password": STRONG}, 400, "invalid-invitation"),
    ("-", "POST", "/api/v1/accept-invitation", {"token": "{invited}", "password": "weak"}, 400, "weak-password"),
    ("-", "POST", "/api/v1/dev/accept-invitation", {"token": "nonsense", "password": STRONG}, 400, "invalid-invitation"),
    ("admin", "POST", ADMIN_KEYS, {"name": "k", "role": "emperor"}, 400, "validation-error"),
    ("admin", "GET", f"{ADMIN_KEYS}?limit=9999", None, 400, "validation-error"),
    ("admin", "DELETE", f"{ADMIN_KEYS}/{NO_UUID}", None, 404, "not-found"),
    ("admin", "POST", f"{ADMIN_KEYS}/{NO_UUID}/rotate", {}, 404, "not-found"),
    ("admin", "POST", f"{ADMIN_KEYS}/{{key}}/rotate", {"overlap_s": -1}, 400, "validation-error"),
    ("admin", "GET", "/api/v1/admin/reports/daily-usage?from=yesterday", None, 400, "validation-error"),
    ("-", "POST", f"{CHAT}/token", None, 401, "unauthorized"),
    ("user", "POST", f"{CHAT}/token", None, 403, "forbidden"),
    ("admin", "POST", OWN_KEYS, {"name": "k", "role": "admin"}, 400, "validation-error"),
    ("user", "GET", OWN_KEYS, None, 403, "forbidden"),
    ("admin", "DELETE", f"{OWN_KEYS}/{NO_UUID}", None, 404, "not-found"),
    ("admin", "GET", f"{OWN_KEYS}/{NO_UUID}/usage", None, 404, "not-found"),
    # --- rag
    ("-", "POST", "/api/auth/register", {"email": "{taken}", "password": PASSWORD}, 409, "CONFLICT"),
    ("-", "POST", "/api/auth/login", {"email": "{taken}"}, 422, "VALIDATION_ERROR"),
    ("-", "POST", "/api/auth/login", {"email": "{taken}", "password": "wrong"}, 401, "AUTHENTICATION_FAILED"),
    ("-", "POST", "/api/auth/logout", None, 401, "AUTHENTICATION_FAILED"),
    ("-", "GET", "/api/auth/me", None, 401, "AUTHENTICATION_FAILED"),
    ("user", "POST", "/api/auth/change-password", {"old_password": PASSWORD}, 422, "VALIDATION_ERROR"),
    ("user", "POST", "/api/auth/change-password", {"old_password": "wrong", "new_password": STRONG}, 401,
     "AUTHENTICATION_FAILED"),
    ("admin", "GET", f"{RAG}?limit=0", None, 422, "VALIDATION_ERROR"),
    ("admin", "POST", RAG, {"email": "nothing"}, 422, "VALIDATION_ERROR"),
    ("admin", "POST", RAG, {"email": "{taken}"}, 409, "CONFLICT"),
    ("admin", "PATCH", f"{RAG}/{NOBODY}", {"role": "admin"}, 404, "NOT_FOUND"),
    ("admin", "PATCH", f"{RAG}/{{uuid}}", {"role": "emperor"}, 422, "VALIDATION_ERROR"),
    ("admin", "POST", f"{RAG}/{NOBODY}/reset-password", None, 404, "NOT_FOUND"),
    ("admin", "POST", f"{RAG}/{{own}}/reset-password", None, 400, "BAD_REQUEST"),
    ("admin", "DELETE", f"{RAG}/{NOBODY}", None, 404, "NOT_FOUND"),
    ("admin", "DELETE", f"{RAG}/nonsense", None, 422, "VALIDATION_ERROR"),
    ("admin", "DELETE", f"{RAG}/{{own}}", None, 400, "BAD_REQUEST"),
    ("user", "GET", "/api/admin/settings/registration", None, 403, "FORBIDDEN"),
    ("admin", "POST", "/api/admin/settings/registration", {"enabled": "perhaps"}, 422, "VALIDATION_ERROR"),
    # --- media
    ("-", "GET", "/auth/me", None, 401, "unauthenticated"),
    ("-", "POST", "/auth/logout", None, 401, "unauthenticated"),
    ("-", "GET", "/auth/sessions", None, 401, "unauthenticated"),
    ("user", "DELETE", "/auth/sessions/nonsense", None, 400, "invalid_argument"),
    ("user", "DELETE", f"/auth/sessions/{NO_UUID}", None, 404, "not_found"),
    # --- ours: roles, invitations, deletion, other names
    ("user", "GET", f"{CHAT}/roles", None, 403, "FORBIDDEN"),
    ("admin", "PUT", f"{CHAT}/roles/admin", {}, 400, "INVALID_ARGUMENT"),
    ("admin", "DELETE", f"{CHAT}/roles/editor", None, 409, "CONFLICT"),
    ("admin", "GET", f"{CHAT}/users/1/roles", None, 404, "NOT_FOUND"),
    ("admin", "PUT", f"{CHAT}/users/{{id}}/roles/emperor", None, 400, "NO_SUCH_ROLE"),
    ("admin", "DELETE", f"{CHAT}/users/{{id}}/roles/user", None, 400, "INVALID_ARGUMENT"),
    ("admin", "DELETE", f"{CHAT}/users/{{id}}/roles/editor", None, 404, "NOT_FOUND"),
    ("admin", "PUT", f"{CHAT}/groups/nonsense/roles/editor", None, 404, "GROUP_NOT_FOUND"),
    ("admin", "PUT", f"{CHAT}/groups/{{group}}/roles/admin", None, 400, "INVALID_ARGUMENT"),
    ("admin", "DELETE", f"{CHAT}/groups/{{group}}/roles/editor", None, 404, "NOT_FOUND"),
    ("-", "GET", f"{CHAT}/permissions", None, 401, "UNAUTHORIZED"),
    ("admin", "POST", f"{CHAT}/invitations", {"uses": 0}, 400, "INVALID_ARGUMENT"),
    ("admin", "POST", f"{CHAT}/invitations", {"role": "emperor"}, 400, "NO_SUCH_ROLE"),
    ("admin", "GET", f"{CHAT}/invitations?cursor=nonsense", None, 400, "INVALID_ARGUMENT"),
    ("admin", "DELETE", f"{CHAT}/invitations/{NO_UUID}", None, 404, "NOT_FOUND"),
    ("user", "POST", f"{CHAT}/account/delete", {"password": "wrong"}, 403, "NOT_PROVED"),
    ("admin", "GET", f"{CHAT}/erasures/nonsense", None, 404, "NOT_FOUND"),
    ("admin", "POST", f"{CHAT}/users/{{id}}/impersonate", {"password": PASSWORD}, 400, "INVALID_ARGUMENT"),
    ("admin", "POST", f"{CHAT}/users/{{id}}/impersonate", {"reason": "to see", "password": "x"}, 403, "NOT_PROVED"),
    ("admin", "POST", f"{CHAT}/users/{{own_id}}/impersonate", {"reason": "to see", "password": PASSWORD}, 409,
     "NOT_ONESELF"),
    # --- ours: second factor
    ("-", "POST", f"{CHAT}/second-factor", {"challenge": "x", "code": "123456"}, 401, "INVALID_CODE"),
    ("-", "GET", f"{CHAT}/factors", None, 401, "UNAUTHORIZED"),
    ("-", "GET", "/api/v1/security/mfa/methods", None, 401, "UNAUTHORIZED"),
    ("user", "POST", f"{CHAT}/factors/totp", {}, 403, "NOT_PROVED"),
    ("user", "POST", f"{CHAT}/factors/totp/confirm", {"code": "123456"}, 404, "NOT_FOUND"),
    ("user", "POST", f"{CHAT}/factors/totp/remove", {"password": "wrong"}, 403, "NOT_PROVED"),
    ("user", "POST", f"{CHAT}/factors/totp/remove", {"password": PASSWORD}, 404, "NOT_FOUND"),
    ("user", "POST", f"{CHAT}/factors/recovery-codes", {"password": PASSWORD}, 404, "NOT_FOUND"),
    ("user", "POST", f"{CHAT}/passkeys/start", {}, 403, "NOT_PROVED"),
    ("user", "POST", f"{CHAT}/passkeys", {"name": ""}, 400, "INVALID_ARGUMENT"),
    ("user", "POST", f"{CHAT}/passkeys", {"name": "k", "ceremony": "x"}, 401, "INVALID_CODE"),
    ("user", "POST", f"{CHAT}/passkeys/AAAA/remove", {}, 403, "NOT_PROVED"),
    ("user", "POST", f"{CHAT}/passkeys/AAAA/remove", {"password": PASSWORD}, 404, "NOT_FOUND"),
    ("-", "POST", f"{CHAT}/passkeys/login", {"ceremony": "x"}, 401, "INVALID_CODE"),
    # --- ours: address and password
    ("-", "GET", f"{CHAT}/account", None, 401, "UNAUTHORIZED"),
    ("user", "PATCH", f"{CHAT}/account", {"username": "x"}, 400, "INVALID_USERNAME"),
    ("user", "PATCH", f"{CHAT}/account", {"username": "admin"}, 409, "USERNAME_TAKEN"),
    ("user", "PATCH", f"{CHAT}/account", {"email": "nothing"}, 400, "INVALID_EMAIL"),
    ("user", "PATCH", f"{CHAT}/account", {"email": "{mail}"}, 403, "NOT_PROVED"),
    ("user", "PATCH", f"{CHAT}/account", {"email": "{taken}", "password": PASSWORD}, 409, "EMAIL_TAKEN"),
    ("user", "POST", f"{CHAT}/email/verification", {}, 503, "MAIL_NOT_CONFIGURED"),
    ("-", "POST", f"{CHAT}/email/verify", {"token": "nonsense"}, 400, "INVALID_LINK"),
    ("-", "POST", f"{CHAT}/password/reset-request", {"email": "{taken}"}, 503, "MAIL_NOT_CONFIGURED"),
    ("-", "POST", f"{CHAT}/password/reset", {"token": "nonsense", "new_password": STRONG}, 400, "INVALID_LINK"),
    ("admin", "POST", f"{CHAT}/users/nonsense/reset-link", {}, 400, "INVALID_ARGUMENT"),
    ("user", "POST", f"{CHAT}/password", {"password": "short"}, 400, "INVALID_PASSWORD"),
    ("user", "POST", f"{CHAT}/password", {"password": STRONG}, 409, "HAS_PASSWORD"),
    # --- ours and theirs: signing in with others, of whom there are none here
    ("-", "GET", "/auth/discord/login", None, 404, "not_found"),
    ("-", "GET", "/auth/discord/callback?code=x&state=y", None, 404, "not_found"),
    ("-", "GET", "/auth/github", None, 503, "not-available"),
    ("-", "GET", "/auth/github/callback?code=x&state=y", None, 503, "not-available"),
    ("-", "GET", f"{CHAT}/oidc/acme/login", None, 404, "NO_SUCH_PROVIDER"),
    ("-", "GET", f"{CHAT}/oidc/acme/callback?code=x&state=y", None, 404, "NO_SUCH_PROVIDER"),
    ("-", "POST", f"{CHAT}/exchange", {"code": "nonsense"}, 400, "INVALID_STATE"),
    ("-", "GET", f"{CHAT}/identities", None, 401, "UNAUTHORIZED"),
    ("user", "POST", f"{CHAT}/identities/acme", {"password": PASSWORD}, 404, "NO_SUCH_PROVIDER"),
    ("user", "DELETE", f"{CHAT}/identities/{NO_UUID}", None, 404, "NOT_FOUND"),
    # --- ours: keys that tokens are signed with
    ("-", "GET", f"{CHAT}/userinfo", None, 401, "UNAUTHORIZED"),
    ("admin", "POST", f"{CHAT}/signing-keys/rotate", None, 409, "NO_SIGNING_KEYS"),
]
# What has nothing to refuse, whoever asks for whatever.
OPEN = {
    "GET /.well-known/jwks.json", "GET /.well-known/openid-configuration", f"GET {CHAT}/providers",
    f"GET {CHAT}/setup/status", f"POST {CHAT}/passkeys/login/start", "POST /api/v1/admin/logout",
    "POST /api/v1/dev/logout",
}


@pytest.fixture(scope="module")
def stack():
    """Without mail and providers; one may act in another's name."""
    with running(settings={"ALLOW_IMPERSONATION": "true"}) as own:
        yield own


@pytest.fixture(scope="module")
def tokens(stack):
    api, name = Api(stack.url), "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return {"-": None, "admin": api.login(name).json()["access_token"],
            "user": api.register(email=f"{secrets.token_hex(6)}@example.org")["access_token"]}


@pytest.fixture(scope="module")
def facts(stack, tokens):
    """What rows speak of."""
    api, admin = Api(stack.url), tokens["admin"]
    user, other = (api.get("/api/v1/auth/account", tokens[who]).json() for who in ("user", "admin"))
    invited = api.post(EVENTS, {"username": "i" + secrets.token_hex(6), "email": f"{secrets.token_hex(6)}@example.org"},
                       admin).json()
    group = {"name": "g" + secrets.token_hex(6), "displayName": "G", "type": "team"}
    return {
        "user": user["username"], "id": user["id"], "uuid": api.get(f"{EVENTS}/{user['id']}", admin).json()["id"],
        "own_id": other["id"], "own": api.get(f"{EVENTS}/{other['id']}", admin).json()["id"],
        "access_token": tokens["user"], "taken": invited["email"], "invited": invited["invitation_url"].split("token=")[1],
        "group": api.post(GROUPS, group, admin).json()["id"],
        "key": api.post(ADMIN_KEYS, {"name": "k"}, admin).json()["id"],
    }


def filled(value, facts):
    """With the facts, and with names that nobody has."""
    if isinstance(value, dict):
        return {key: filled(item, facts) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    fresh = {"new": "n" + secrets.token_hex(6), "mail": f"{secrets.token_hex(6)}@example.org"}
    return re.sub(r"\{(\w+)\}", lambda found: {**facts, **fresh}[found[1]], value)


def words_of(answer):
    """The code in the manner of each contract; its error body is whole."""
    body = answer.json()
    if "type" in body:  # problems: ours have a code, events' are their type
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert body["status"] == answer.status_code and body["title"] and body["instance"]
        return body.get("code") or body["type"].removeprefix("https://sel.events/problems/")
    if "detail" in body:  # rag
        assert body["request_id"] == answer.headers["X-Request-ID"]
        return body["error_code"]
    if "details" in body:  # media
        assert body.keys() == {"code", "message", "details"} and body["message"]
        return body["code"]
    if isinstance(body["error"], dict):  # chat
        assert body["error"]["message"] == body["message"] != ""
        return body["error"]["code"]
    assert body["error"] and body["message"]  # sessions
    return body["code"]


@pytest.mark.parametrize("who, method, path, body, status, code", ROWS,
                         ids=[f"{who} {method} {path} {code}" for who, method, path, _, _, code in ROWS])
def test_refusals(stack, tokens, facts, who, method, path, body, status, code):
    api = Api(stack.url)
    # What is signed in with others speaks plain text to browsers.
    answer = api.call(method, filled(path, facts), tokens[who], json=filled(body, facts), allow_redirects=False,
                      headers={"Accept": "application/json"})
    assert answer.status_code == status, answer.text
    assert words_of(answer) == code, answer.text
    assert "Set-Cookie" not in answer.headers or "csrf" in answer.headers["Set-Cookie"]


def test_every_route_has_a_row(stack):
    """Or nothing to refuse."""
    paths = Api(stack.url).get("/api/openapi.json").json()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method, op in methods.items()
              if method in ("get", "post", "put", "patch", "delete") and "auth" in op.get("tags", [])}
    assert len(routes) > 100
    patterns = {route: re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route))) for route in routes}

    def route_of(method, path):
        asked = f"{method} {path.split('?')[0]}"
        matching = [route for route, pattern in patterns.items() if pattern.fullmatch(asked)]
        assert matching, f"no route for {asked}"
        return min(matching, key=lambda route: route.count("{"))

    told = {route_of(method, path) for _, method, path, _, _, _ in ROWS}
    assert routes - told - OPEN == set()
    assert not told & OPEN


# ---------------------------------------------------------------------------------------------- what succeeds, besides
def test_a_group_loses_a_role(stack, tokens, facts):
    api, path = Api(stack.url), f"{CHAT}/groups/{facts['group']}/roles/viewer"
    assert api.call("PUT", path, tokens["admin"]).status_code == 204
    assert api.call("DELETE", path, tokens["admin"]).status_code == 204


def test_an_administrator_acts_in_anothers_name_for_minutes(stack, tokens):
    """And takes nothing along that lasts."""
    api = Api(stack.url)
    user = api.register()["user"]
    answer = api.post(f"{CHAT}/users/{user['id']}/impersonate", {"reason": "to see what he sees", "password": PASSWORD},
                      tokens["admin"])
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"access_token", "user"}
    token = answer.json()["access_token"]
    assert api.me(token).json()["data"]["id"] == user["id"]
    assert api.post(KEYS, {"name": "for later"}, token).status_code == 403
    assert api.call("PATCH", f"{SESSIONS}/me", token, json={"email": "x@example.org"}).status_code == 403
    assert api.post(f"{CHAT}/passkeys/start", {}, token).status_code == 403
    activity = api.get(f"{EVENTS}/{user['id']}/activity", tokens["admin"]).json()["items"]
    assert [entry["action"] for entry in activity] == ["user.impersonated"]
