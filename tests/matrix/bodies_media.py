"""Requests for test_callers.py: of the rpcs of media. Items and collections are the owner's."""
import uuid


def owners(scene):
    return scene.owner_token


def item(scene):
    """One whose upload has begun."""
    answer = scene.api.post("/media/upload/sign", {"filename": "matrix.bin"}, owners(scene))
    assert answer.status_code == 200, answer.text
    return answer.json()["media_id"]


def collection(scene):
    answer = scene.api.post("/collection", {"title": "matrix"}, owners(scene))
    assert answer.status_code == 200, answer.text
    return answer.json()["id"]


def account(scene):
    return scene.api.get("/api/v1/users/@me", owners(scene)).json()["data"]["id"]


BODIES = {
    "UpdateItem": lambda s: {"title": "matrix"},
    "UpdateTags": lambda s: {"add_tags": ["matrix"]},
    "CheckDigests": lambda s: {"sha256": ["00" * 32]},
    "SetUserQuota": lambda s: {"limit_bytes": 1 << 40},
    "CreateCollection": lambda s: {"title": "matrix"},
    "UpdateCollection": lambda s: {"title": "matrix"},
    "AddToCollection": lambda s: {"media_id": item(s)},
    "ShareCollection": lambda s: {"is_public": True},
    "UnlockCollection": lambda s: {"token": str(uuid.uuid4()), "password": "matrix"},
}
VARIABLES = {
    "media_id": item,
    "collection_id": collection,
    # Of one that is there, the answer would go on until its processing is over.
    "WatchProcessing.media_id": lambda s: str(uuid.uuid4()),
    "GetUserUsage.user_id": account,
    "SetUserQuota.user_id": account,
    "GetAvatar.user_id": account,
}
