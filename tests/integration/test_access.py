"""Roles and permissions: what is granted or taken holds at every gateway within a second, and nobody is logged out."""
import secrets

import pytest

from api import PASSWORD, claims
from polling import PATIENCE, poll

# A change of what somebody may holds everywhere within a second, of which tests allow five times as much.
SOON_S = 1 * PATIENCE


@pytest.fixture(scope="module")
def admin_name(stack):
    name = "a" + secrets.token_hex(6)
    stack.atrium("user", "create", name, "--role", "admin", "--password", PASSWORD)
    return name


@pytest.fixture
def admin(api, admin_name):
    return api.login(admin_name).json()["access_token"]


def role_path(user, role):
    return f"/api/v1/auth/users/{user['user']['id']}/roles/{role}"


def lists_roles(*apis, token):
    """Whether the routes for operators are open to him, everywhere."""
    answers = {a.get("/api/v1/auth/roles", token).status_code for a in apis}
    return answers.pop() if len(answers) == 1 else None


def test_a_rank_holds_at_once_and_the_token_stays(api, api2, user, admin):
    token = user["access_token"]
    assert lists_roles(api, api2, token=token) == 403
    assert api.call("PUT", role_path(user, "operator"), admin).status_code == 204
    poll(lambda: lists_roles(api, api2, token=token) == 200, SOON_S, "the rank holds at both gateways")
    assert api.call("DELETE", role_path(user, "operator"), admin).status_code == 204
    poll(lambda: lists_roles(api, api2, token=token) == 403, SOON_S, "the rank is gone at both gateways")
    assert api.me(token).status_code == 200


def test_opaque_tokens_follow_changes_too(api, api2, admin):
    user = api.talker_register()
    token = user["token"]
    me = api.get("/api/v1/users/@me", token).json()["data"]
    assert lists_roles(api, api2, token=token) == 403
    assert api.call("PUT", role_path({"user": me}, "operator"), admin).status_code == 204
    poll(lambda: lists_roles(api, api2, token=token) == 200, SOON_S, "the rank holds at both gateways")


def test_what_a_role_grants_can_be_changed(api, api2, user, admin):
    name, token = "r" + secrets.token_hex(6), user["access_token"]
    assert "rag.help" not in api.get("/api/v1/auth/permissions", token).json()["permissions"]
    answer = api.call("PUT", f"/api/v1/auth/roles/{name}", admin, json={"permissions": ["rag.help"], "description": "helps"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"name": name, "description": "helps", "permissions": ["rag.help"], "builtin": False}
    assert api.call("PUT", role_path(user, name), admin).status_code == 204
    mine = api.get("/api/v1/auth/permissions", token).json()
    assert mine["roles"] == ["user", name] and "rag.help" in mine["permissions"]
    assert lists_roles(api, api2, token=token) == 403
    assert api.call("PUT", f"/api/v1/auth/roles/{name}", admin, json={"permissions": ["auth.roles.read"]}).status_code == 200
    poll(lambda: lists_roles(api, api2, token=token) == 200, SOON_S, "the permission holds at both gateways")
    assert api.call("DELETE", f"/api/v1/auth/roles/{name}", admin).status_code == 204
    poll(lambda: lists_roles(api, api2, token=token) == 403, SOON_S, "the permission is gone at both gateways")


def test_new_tokens_list_the_roles(api, user, admin):
    assert "roles" not in claims(user["access_token"])
    assert api.call("PUT", role_path(user, "curator"), admin).status_code == 204
    tokens = api.login(user["user"]["username"]).json()
    assert claims(tokens["access_token"])["roles"] == ["curator"]
    assert claims(tokens["token"])["roles"] == ["curator"]
    answer = api.get(f"/api/v1/auth/users/{user['user']['id']}/roles", admin)
    assert answer.json() == {"roles": ["user", "curator"]}


@pytest.mark.parametrize("method, path, body, status, code", [
    ("PUT", "/api/v1/auth/roles/x", {}, 400, "INVALID_ARGUMENT"),
    ("PUT", "/api/v1/auth/roles/admin", {}, 400, "INVALID_ARGUMENT"),
    ("PUT", "/api/v1/auth/roles/helper", {"permissions": ["everything"]}, 400, "INVALID_ARGUMENT"),
    ("PUT", "/api/v1/auth/roles/helper", {"permissions": [7]}, 400, "INVALID_BODY"),
    ("DELETE", "/api/v1/auth/roles/nobody-has-this", None, 404, "NOT_FOUND"),
    ("DELETE", "/api/v1/auth/roles/editor", None, 409, "CONFLICT"),
    ("PUT", "/api/v1/auth/users/1/roles/editor", None, 404, "NOT_FOUND"),
    ("PUT", "/api/v1/auth/users/x/roles/editor", None, 400, "INVALID_ID"),
])
def test_errors(api, admin, method, path, body, status, code):
    answer = api.call(method, path, admin, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_what_is_no_role_is_refused(api, user, admin):
    answer = api.call("PUT", role_path(user, "emperor"), admin)
    assert (answer.status_code, answer.json()["code"]) == (400, "NO_SUCH_ROLE")
    answer = api.call("DELETE", role_path(user, "curator"), admin)
    assert answer.status_code == 404


# ---------------------------------------------------------------------------------------------- groups
def test_groups_in_sessions_manner(api, user, admin):
    body = {"name": "g" + secrets.token_hex(6), "displayName": "Reviewers", "type": "team"}
    answer = api.post("/api/v1/groups", body, admin)
    assert answer.status_code == 201, answer.text
    group = answer.json()
    assert group.keys() == {"id", "name", "displayName", "description", "type", "memberCount", "createdAt", "updatedAt"}
    again = api.post("/api/v1/groups", body, admin)
    assert (again.status_code, again.json()["code"]) == (409, "CONFLICT"), again.text
    path = f"/api/v1/groups/{group['id']}"
    answer = api.post(path + "/members", {"userId": user["user"]["username"], "role": "owner"}, admin)
    assert answer.status_code == 201, answer.text
    assert answer.json()["role"] == "owner" and answer.json()["user"]["id"] == user["user"]["id"]
    assert api.get(path, admin).json()["memberCount"] == 1
    assert api.get(path + "/members", admin).json()["total"] == 1
    mine = api.get(f"/api/v1/users/{user['user']['id']}/groups", user["access_token"]).json()
    assert {g["id"] for g in mine["groups"]} == {"all-users", group["id"]} and mine["total"] == 2
    member = f"{path}/members/{user['user']['id']}"
    assert api.call("PATCH", member, admin, json={"role": "viewer"}).json()["role"] == "viewer"
    assert api.call("DELETE", member, admin).status_code == 200
    assert api.call("DELETE", member, admin).status_code == 404
    assert api.call("PATCH", path, admin, json={"displayName": "Others"}).json()["displayName"] == "Others"
    assert api.call("DELETE", path, admin).status_code == 200
    assert api.get(path, admin).status_code == 404


def test_the_roles_of_a_group_hold_for_its_members(api, api2, user, admin):
    token = user["access_token"]
    body = {"name": "g" + secrets.token_hex(6), "displayName": "Reviewers", "type": "team"}
    group = api.post("/api/v1/groups", body, admin).json()["id"]
    role = f"/api/v1/auth/groups/{group}/roles/r" + secrets.token_hex(6)
    answer = api.call("PUT", f"/api/v1/auth/roles/{role.rsplit('/', 1)[1]}", admin, json={"permissions": ["auth.roles.read"]})
    assert answer.status_code == 200, answer.text
    assert api.post(f"/api/v1/groups/{group}/members", {"userId": user["user"]["id"]}, admin).status_code == 201
    assert lists_roles(api, api2, token=token) == 403
    assert api.call("PUT", role, admin).status_code == 204
    poll(lambda: lists_roles(api, api2, token=token) == 200, SOON_S, "the role holds at both gateways")
    assert api.call("DELETE", f"/api/v1/groups/{group}/members/{user['user']['id']}", admin).status_code == 200
    poll(lambda: lists_roles(api, api2, token=token) == 403, SOON_S, "it is gone with the membership")
