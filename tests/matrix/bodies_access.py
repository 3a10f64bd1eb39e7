"""Requests for test_callers.py: of the rpcs in access.proto."""
import secrets

from api import claims


def own_role(scene):
    """A new role, where the caller may make one."""
    name = "r" + secrets.token_hex(6)
    scene.api.call("PUT", f"/api/v1/auth/roles/{name}", scene.tokens.get("access_token"), json={})
    return name


def own_group(scene):
    """A new group, where the caller may make one."""
    answer = scene.api.post("/api/v1/groups", new_group(scene), scene.tokens.get("access_token"))
    return answer.json()["id"] if answer.status_code == 201 else "all-users"


def new_group(_scene):
    return {"name": "g" + secrets.token_hex(6), "displayName": "Group", "type": "team"}


BODIES = {
    "PutRole": lambda s: {"permissions": ["rag.curate"]},
    "CreateGroup": new_group,
    "UpdateGroup": lambda s: {"displayName": "Another"},
    "AddGroupMember": lambda s: {"userId": s.owner},
    "UpdateGroupMember": lambda s: {"role": "viewer"},
}
VARIABLES = {
    "user_id": lambda s: claims(s.owner_token)["user_id"],
    "PutRole.name": lambda s: "r" + secrets.token_hex(6),
    "DeleteRole.name": own_role,
    "GrantRole.name": lambda s: "curator",
    "RevokeRole.name": lambda s: "curator",
    "GrantGroupRole.name": lambda s: "curator",
    "RevokeGroupRole.name": lambda s: "curator",
    "group_id": own_group,
}
