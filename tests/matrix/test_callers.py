"""Every rpc, called by every kind of caller: callers.csv tells what each gets, and was written by hand. Over HTTP it is
a status; on the bus (a service for itself, and the gateway without a caller, both with an empty body) a reason."""
import csv
import importlib
import pathlib
import re

import pytest

from scenes import Scene
from stack import ROOT

pytestmark = pytest.mark.local
HERE = pathlib.Path(__file__).parent
PEOPLE = ("nobody", "other", "owner", "operator", "admin")


def rows():
    with open(HERE / "callers.csv", newline="") as file:
        return list(csv.DictReader(file))


def routes():
    with open(ROOT / "build/gen/callers.csv", newline="") as file:
        return {row["rpc"]: [route.split(" ", 1) for route in row["routes"].split("; ") if route]
                for row in csv.DictReader(file)}


# From the files bodies_*.py, one per proto.
BODIES, VARIABLES, QUERIES = {}, {}, {}
for file_ in sorted(HERE.glob("bodies_*.py")):
    module = importlib.import_module(file_.stem)
    assert not BODIES.keys() & module.BODIES.keys() and not VARIABLES.keys() & module.VARIABLES.keys(), file_
    BODIES.update(module.BODIES)
    VARIABLES.update(module.VARIABLES)
    QUERIES.update(getattr(module, "QUERIES", {}))

HTTP = [pytest.param(row["rpc"], method, path, caller, int(row[caller]), id=f"{row['rpc']}-{method} {path}-{caller}")
        for row in rows() for method, path in routes().get(row["rpc"], []) for caller in PEOPLE]
BUS = [pytest.param(row["domain"], row["rpc"], caller, row[caller], id=f"{row['rpc']}-{caller}")
       for row in rows() for caller in ("service", "gateway") if row[caller] != "-"]


@pytest.mark.parametrize("rpc, method, path, caller, status", HTTP)
def test_over_http(scenes, rpc, method, path, caller, status):
    scene = scenes.of(Scene, caller, method, status)
    body = BODIES[rpc](scene) if rpc in BODIES else None
    path = re.sub(r"{(\w+)(?:=\*\*)?}",
                  lambda m: VARIABLES.get(f"{rpc}.{m.group(1)}", VARIABLES.get(m.group(1)))(scene), path)
    answer = scene.api.call(method, path, scene.tokens.get("access_token"), json=body, params=QUERIES.get(rpc))
    assert answer.status_code == status, answer.text
    if status in (401, 404):  # nothing was done
        assert scene.spare in {i["id"] for i in logins(scene)}


def logins(scene):
    answer = scene.api.get("/api/v1/auth/logins", scene.owner_token)
    assert answer.status_code == 200, answer.text
    return answer.json()["logins"]


@pytest.mark.parametrize("domain, rpc, caller, reason", BUS)
def test_on_the_bus(connect, domain, rpc, caller, reason):
    if caller == "service":
        answer = connect("ops").request(f"svc.main.ops.{domain}.v1.{rpc}", callee=domain)
    else:
        answer = connect("gateway").request(f"rpc.main.{domain}.v1.{rpc}", callee=domain)
    assert answer is not None
    if reason == "OK":
        assert "Nats-Service-Error-Code" not in answer.headers
    else:
        assert answer.headers["Nats-Service-Error-Code"] != "0"
        # Field 1 of atrium.Status, a string shorter than 128 bytes.
        assert answer.body[2:2 + answer.body[1]].decode() == reason


def test_every_route_is_called():
    """The generated list and the one written by hand are compared by tests/matrix/check at each build."""
    assert {row["rpc"] for row in rows() if row["nobody"] != "-"} == {rpc for rpc, list_ in routes().items() if list_}
