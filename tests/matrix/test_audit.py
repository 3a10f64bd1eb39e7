"""Every rpc that asks for a permission to write leaves an entry in the audit log, which names its request."""
import re

import pytest

from test_callers import BODIES, VARIABLES, Scene, routes, rows

pytestmark = pytest.mark.local
WRITES = [pytest.param(row["rpc"], method, path, id=f"{row['rpc']}-{method} {path}")
          for row in rows() if re.search(r"\.(write|invite)$", row["permission"]) and row["admin"].startswith("20")
          for method, path in routes().get(row["rpc"], []) if method != "GET"]


@pytest.mark.parametrize("rpc, method, path", WRITES)
def test_a_change_is_in_the_audit_log(stack, rpc, method, path):
    scene = Scene(stack, "admin")
    token = scene.tokens["access_token"]
    body = BODIES[rpc](scene) if rpc in BODIES else None
    path = re.sub(r"{(\w+)}", lambda m: str(VARIABLES.get(f"{rpc}.{m.group(1)}", VARIABLES.get(m.group(1)))(scene)), path)
    answer = scene.api.call(method, path, token, json=body)
    assert answer.status_code in (200, 201, 204), answer.text
    items = scene.api.get("/api/v1/admin/audit", token, params={"limit": 20}).json()["items"]
    entries = [item for item in items if item["request_id"] == answer.headers["X-Request-Id"]]
    assert entries and all(entry["actor_id"] and entry["target_id"] for entry in entries)
