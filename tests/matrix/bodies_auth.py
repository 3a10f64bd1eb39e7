"""Requests for test_callers.py: of the rpcs in auth.proto."""
import secrets

from api import PASSWORD

NEW_PASSWORD = "a better one"
# The request of each rpc that needs more than its path: a body that is good, so that only the caller is judged.
BODIES = {
    "Register": lambda s: {"username": "m" + secrets.token_hex(6), "password": PASSWORD},
    "Login": lambda s: {"username": s.owner, "password": PASSWORD},
    "Refresh": lambda s: {"refresh_token": s.login(s.owner)["refresh_token"]},
    "Logout": lambda s: {},
    "UpdateMe": lambda s: {"display_name": "Somebody"},
    "ChangePassword": lambda s: {"oldPassword": PASSWORD, "newPassword": NEW_PASSWORD},
    "TalkerRegister": lambda s: {"email": secrets.token_hex(6) + "@example.org", "password": PASSWORD},
    "TalkerLogin": lambda s: {"email": s.api.talker_register()["email"], "password": PASSWORD},
    "TalkerChangePassword": lambda s: {"old_password": PASSWORD, "new_password": NEW_PASSWORD},
}
# What stands for a variable of a path: by its name, or by "Rpc.name" where one rpc wants another.
VARIABLES = {"login_id": lambda s: s.spare, "username": lambda s: s.owner}
