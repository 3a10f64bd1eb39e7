"""Requests for test_callers.py: of the rpcs in keys.proto."""
import uuid


def made(path, of_owner=False):
    """A key that was made over this path: the caller's where he may, the owner's, or none."""
    def make(scene):
        token = scene.owner_token if of_owner else scene.tokens.get("access_token")
        answer = scene.api.post(path, {"name": "matrix"}, token)
        return answer.json()["id"] if answer.status_code == 201 else str(uuid.uuid4())

    return make


COMMONS, OWN, SCOPED = "/api/v1/admin/api-keys", "/api/v1/dev/api-keys", "/api/v1/api-keys"
BODIES = {
    "CreateKey": lambda s: {"name": "matrix"},
    "RotateKey": lambda s: {"overlap_s": 60},
    "CreateMyKey": lambda s: {"name": "matrix"},
    "CreateScopedKey": lambda s: {"name": "matrix", "scopes": ["full"]},
}
VARIABLES = {
    "RevokeKey.key_id": made(COMMONS),
    "RotateKey.key_id": made(COMMONS),
    "RevokeMyKey.key_id": made(OWN),
    "MyKeyUsage.key_id": made(OWN),
    "RevokeScopedKey.key_id": made(SCOPED, of_owner=True),
}
