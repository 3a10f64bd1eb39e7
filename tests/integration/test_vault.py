"""Media's manner of logins over HTTP: whoever came by another door is at home there, too."""
import re

import pytest

from api import Api
from polling import PATIENCE, poll

AT_ONCE_S = 0.2 * PATIENCE
UNKNOWN = "A" * 43 + "="


@pytest.fixture
def opaque(api):
    """An opaque token and whose it is."""
    return api.talker_register()


def me(api, value):
    return api.call("GET", "/auth/me", headers={"Authorization": value} if value is not None else {})


def test_me(api, user):
    answer = me(api, user["access_token"])
    assert answer.status_code == 200
    assert answer.json() == {"id": int(user["user"]["id"]), "discord_id": "", "username": user["user"]["username"],
                             "avatar_url": ""}


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", ""])
def test_a_token_may_stand_bare(api, opaque, scheme):
    assert me(api, scheme + opaque["token"]).status_code == 200


@pytest.mark.parametrize("value, text", [
    (None, "missing auth param"),
    ("", "missing auth param"),
    ("Bearer", "invalid session"),
    (f"Bearer {UNKNOWN}", "invalid session"),
    (UNKNOWN, "invalid session"),
    ("Basic eDp5", "invalid session"),
])
def test_strangers_are_told_why(api, value, text):
    answer = me(api, value)
    assert answer.status_code == 401
    assert answer.json() == {"code": "unauthenticated", "message": text, "details": None}
    assert "WWW-Authenticate" not in answer.headers and "Set-Cookie" not in answer.headers


def test_logout_ends_every_login(api, api2, user):
    other = api.login(user["user"]["username"]).json()
    answer = api.post("/auth/logout", token=user["access_token"])
    assert answer.status_code == 200 and answer.json() == {"success": True}
    for token in (user["access_token"], other["access_token"]):
        for gateway in (api, api2):
            poll(lambda: me(gateway, token).status_code == 401, seconds=AT_ONCE_S, what="the end of the login")


def test_logout_of_this_one_alone(api, user):
    other = api.login(user["user"]["username"]).json()
    assert api.post("/auth/logout?all=false", token=user["access_token"]).status_code == 200
    poll(lambda: me(api, user["access_token"]).status_code == 401, seconds=AT_ONCE_S, what="the end of the login")
    assert me(api, other["access_token"]).status_code == 200


def test_sessions_are_listed_and_ended_one_by_one(api, user):
    other = api.login(user["user"]["username"]).json()
    sessions = api.get("/auth/sessions", user["access_token"]).json()["sessions"]
    assert len(sessions) == 2
    for session in sessions:
        assert {"id", "user_agent", "address", "created_at", "last_used_at", "expires_at", "current"} <= session.keys()
        assert re.fullmatch(r"[0-9a-f-]{36}", session["id"])
    away, = [s["id"] for s in sessions if not s["current"]]
    assert api.call("DELETE", f"/auth/sessions/{away}", user["access_token"]).json() == {"success": True}
    poll(lambda: me(api, other["access_token"]).status_code == 401, seconds=AT_ONCE_S, what="the end of the login")
    assert me(api, user["access_token"]).status_code == 200
    for unknown, status in ((away, 404), ("no-id", 400)):
        answer = api.call("DELETE", f"/auth/sessions/{unknown}", user["access_token"])
        assert answer.status_code == status and answer.json()["code"] in ("not_found", "invalid_argument")


def test_others_sessions_are_not_there(api, user):
    stranger = Api(api.url).register()
    session, = api.get("/auth/sessions", stranger["access_token"]).json()["sessions"]
    assert api.call("DELETE", f"/auth/sessions/{session['id']}", user["access_token"]).status_code == 404
    assert me(api, stranger["access_token"]).status_code == 200
