"""Requests for test_callers.py: of the rpcs in mail.proto. The matrix's stack has no SMTP server, so that what needs one
says so; with one they are in tests/integration/test_mail.py."""
from api import PASSWORD
from bodies_admin import address, administrator, name


def reset_token(scene):
    user = scene.account(scene.stack, "user")
    me = scene.api.get("/api/v1/auth/account", scene.login(user)["access_token"]).json()
    answer = scene.api.post(f"/api/v1/auth/users/{me['id']}/reset-link", token=administrator(scene))
    assert answer.status_code == 200, answer.text
    return answer.json()["url"].split("token=")[1]


BODIES = {
    "UpdateAccount": lambda s: {"username": name(), "email": address(), "password": PASSWORD},
    "VerifyEmail": lambda s: {"token": "nothing"},
    "RequestPasswordReset": lambda s: {"email": address()},
    "ResetPassword": lambda s: {"token": reset_token(s), "new_password": PASSWORD},
}
VARIABLES = {}
