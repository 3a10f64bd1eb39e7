"""One account, the credentials that each API gives it, and a route of each API for each of them: dialects.csv tells what
comes of it, and was written by hand. The account is a developer's, so that it has something of its own at events, too."""
import csv

import pytest

from api import PASSWORD
from scenes import Scene
from test_callers import HERE

pytestmark = pytest.mark.local


def rows():
    with open(HERE / "dialects.csv", newline="") as file:
        return list(csv.DictReader(file))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def credentials(stack):
    """Headers, by the column's name."""
    scene = Scene(stack, "other")
    api = scene.api
    admin, me = scene.login(scene.account(stack, "admin"))["access_token"], scene.tokens["access_token"]
    id_ = api.get("/api/v1/auth/account", me).json()["id"]
    assert api.call("PUT", f"/api/v1/auth/users/{id_}/roles/developer", admin).status_code == 204

    def log_in(path, field):
        answer = api.post(path, {field: scene.caller, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        api.session.cookies.clear()
        return answer.json()["token"]

    console, portal, rag = (log_in(path, field) for path, field in (("/api/v1/admin/login", "username"),
                                                                    ("/api/v1/dev/login", "username"),
                                                                    ("/api/auth/login", "email")))
    tokens = scene.login(scene.caller)
    key = api.post("/api/v1/api-keys", {"name": "m", "scopes": ["full"]}, tokens["token"]).json()["key"]
    return {
        "nobody": {},
        "chat": bearer(tokens["access_token"]),
        "sessions": bearer(tokens["token"]),
        "console": bearer(console),
        "console_cookie": {"Cookie": f"auth_token={console}"},
        "portal_cookie": {"Cookie": f"dev_auth_token={portal}"},
        "rag": bearer(rag),
        "rag_bare": {"Authorization": rag},
        "full_key": bearer(key),
    }


CASES = [pytest.param(row["route"], column, int(row[column]), id=f"{row['route']}-{column}")
         for row in rows() for column in row if column != "route"]


@pytest.mark.parametrize("route, column, status", CASES)
def test_over_http(api, credentials, route, column, status):
    method, path = route.split(" ")
    answer = api.call(method, path, headers=credentials[column])
    api.session.cookies.clear()
    assert answer.status_code == status, answer.text


def test_the_portals_cookie_alone_makes_no_key(api, credentials):
    cookie = credentials["portal_cookie"]
    body, path = {"name": "matrix"}, "/api/v1/dev/api-keys"
    refused = api.call("POST", path, headers=cookie, json=body)
    assert refused.status_code == 403 and refused.json()["type"].endswith("/csrf-failure"), refused.text
    token = api.call("GET", path, headers=cookie).headers["X-CSRF-Token"]
    made = api.call("POST", path, headers={**cookie, "X-CSRF-Token": token}, json=body)
    api.session.cookies.clear()
    assert made.status_code == 201, made.text
