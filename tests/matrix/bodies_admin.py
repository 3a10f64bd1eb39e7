"""Requests for test_callers.py: of the rpcs in admin.proto."""
import secrets
import uuid

from api import PASSWORD

STRONG = "Correct horse 9!"


def address():
    return secrets.token_hex(6) + "@example.org"


def name():
    return "m" + secrets.token_hex(6)


def administrator(scene):
    """A token that may everything, whoever calls; so there is an administrator with a password, too."""
    return scene.stack.administrator()


def pending(scene):
    """An account that waits for its owner: as events' routes make it."""
    answer = scene.api.post("/api/v1/admin/users", {"username": name(), "email": address(), "role": "viewer"},
                            administrator(scene))
    assert answer.status_code == 201, answer.text
    return answer.json()


def developer(scene):
    answer = scene.api.post("/api/v1/admin/developers/invite", {"email": address(), "name": "Some Body"},
                            administrator(scene))
    assert answer.status_code == 201, answer.text
    return answer.json()["user_id"]


def do_setup(scene):
    administrator(scene)
    return {"password": STRONG, "passwordConfirm": STRONG, "email": address()}


def invitation(scene):
    answer = scene.api.post("/api/v1/auth/invitations", {}, administrator(scene))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


BODIES = {
    "AdminCreateUser": lambda s: {"username": name(), "email": address(), "role": "viewer"},
    "AdminUpdateUser": lambda s: {"email": address()},
    "AcceptInvitation": lambda s: {"token": pending(s)["invitation_url"].split("token=")[1], "password": STRONG},
    "NewUser": lambda s: {"username": name(), "email": address(), "fullName": "Some Body", "password": STRONG},
    "UpdateUser": lambda s: {"fullName": "Some Body"},
    "DoSetup": do_setup,
    "TalkerCreateUser": lambda s: {"email": address()},
    "TalkerUpdateUser": lambda s: {"role": "admin"},
    "TalkerSetRegistration": lambda s: {"enabled": True},
    "CreateInvitation": lambda s: {},
    "InviteDeveloper": lambda s: {"email": address(), "name": "Some Body"},
    "UpdateDeveloper": lambda s: {"max_keys": 3},
    "Impersonate": lambda s: {"reason": "to see what he sees", "password": PASSWORD},
    "DeleteMe": lambda s: {"password": PASSWORD},
}
VARIABLES = {
    "AdminActivateUser.user_id": lambda s: pending(s)["id"],
    "AdminResendInvitation.user_id": lambda s: pending(s)["id"],
    "GetDeveloper.user_id": developer,
    "UpdateDeveloper.user_id": developer,
    "DeleteDeveloper.user_id": developer,
    "RevokeInvitation.invitation_id": invitation,
    "erasure_id": lambda s: str(uuid.uuid4()),
}
