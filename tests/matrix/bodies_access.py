"""Requests for test_callers.py: of the rpcs in access.proto."""
import secrets

from api import claims


def own_role(scene):
    """A new role, where the caller may make one."""
    name = "r" + secrets.token_hex(6)
    scene.api.call("PUT", f"/api/v1/auth/roles/{name}", scene.tokens.get("access_token"), json={})
    return name


BODIES = {"PutRole": lambda s: {"permissions": ["rag.curate"]}}
VARIABLES = {
    "user_id": lambda s: claims(s.login(s.owner)["access_token"])["user_id"],
    "PutRole.name": lambda s: "r" + secrets.token_hex(6),
    "DeleteRole.name": own_role,
    "GrantRole.name": lambda s: "curator",
    "RevokeRole.name": lambda s: "curator",
}
