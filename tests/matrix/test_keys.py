"""Every rpc over HTTP again, called with API keys and by people who hold a role beside their rank: keys.csv tells what
each gets, and was written by hand. A key reaches only what asks for a permission that it has, unless it has all that its
owner has; a role adds what it grants and nothing else."""
import csv
import re

import pytest

from scenes import Scene
from test_callers import BODIES, HERE, QUERIES, VARIABLES, routes
from test_callers import rows as callers

pytestmark = pytest.mark.local
COLUMNS = ("agent", "admin_key", "full_key", "editor", "viewer", "developer")


def rows():
    with open(HERE / "keys.csv", newline="") as file:
        return list(csv.DictReader(file))


class Holder(Scene):
    """As a scene of test_callers.py; who calls is the owner of a key, or of a role."""

    def __init__(self, stack, column):
        super().__init__(stack, "admin" if column in ("agent", "admin_key") else "other")
        token = self.tokens["access_token"]
        if column == "full_key":
            self.tokens = {"access_token": self.made("/api/v1/api-keys", {"name": "m", "scopes": ["full"]}, token)["key"]}
        elif column in ("agent", "admin_key"):
            body = {"name": "m", "role": column.removesuffix("_key")}
            self.tokens = {"access_token": self.made("/api/v1/admin/api-keys", body, token)["api_key"]}
        else:
            self.grant(column)
            self.tokens = self.login(self.caller)

    def made(self, path, body, token):
        answer = self.api.post(path, body, token)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def grant(self, role):
        me = self.api.get("/api/v1/auth/account", self.tokens["access_token"]).json()
        answer = self.api.call("PUT", f"/api/v1/auth/users/{me['id']}/roles/{role}", self.stack.administrator())
        assert answer.status_code == 204, answer.text


HTTP = [pytest.param(row["rpc"], method, path, column, int(row[column]), id=f"{row['rpc']}-{method} {path}-{column}")
        for row in rows() for method, path in routes().get(row["rpc"], []) for column in COLUMNS]


@pytest.mark.parametrize("rpc, method, path, column, status", HTTP)
def test_over_http(scenes, rpc, method, path, column, status):
    scene = scenes.of(Holder, column, method, status)
    body = BODIES[rpc](scene) if rpc in BODIES else None
    path = re.sub(r"{(\w+)(?:=\*\*)?}",
                  lambda m: VARIABLES.get(f"{rpc}.{m.group(1)}", VARIABLES.get(m.group(1)))(scene), path)
    answer = scene.api.call(method, path, scene.tokens["access_token"], json=body, params=QUERIES.get(rpc))
    assert answer.status_code == status, answer.text


def test_every_rpc_with_a_route_has_a_row():
    assert sorted(row["rpc"] for row in rows()) == sorted(row["rpc"] for row in callers() if row["nobody"] != "-")
