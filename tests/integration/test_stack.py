"""The local stack itself: what bin/atrium promises. On a stack of its own, which it stops, starts and breaks."""
import os
import pathlib
import re
import subprocess
import time

import pytest

from api import PASSWORD, Api
from nats_client import Nats
from polling import PATIENCE, poll
from stack import ROOT, Stack

pytestmark = pytest.mark.local
READY_S = 5  # with packages installed and code built


@pytest.fixture(scope="module")
def own():
    stack = Stack(fresh=True)
    try:
        yield stack.up()
    finally:
        stack.destroy()


def processes_of(stack):
    """Every process whose environment, arguments or working folder name the stack's folder."""
    found = {}
    needle = str(stack.folder).encode()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
                where = os.fsencode(os.readlink(entry / "cwd"))
                if any(needle in text for text in (command, where, (entry / "environ").read_bytes())):
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
            except (OSError, PermissionError):
                continue
    return found


def test_status_tells_of_every_process(own):
    rows = own.status()
    services = {path.parent.name for path in (ROOT / "services").glob("*/service.mk")}
    assert {"postgresql", "redis", "nats"} | services == set(rows)
    for row in rows.values():
        assert row["ready"] is True and row["pid"] > 1 and row["memory_bytes"] > 0
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row["since"])
        assert row["address"].startswith("127.0.0.1:")
    table = own.atrium("status")
    assert all(name in table for name in rows)


def test_the_printed_commands_work(own):
    lines = [line for line in own.output.splitlines() if line.startswith("curl ")]
    assert len(lines) == 3
    assert f"{own.url}/api/docs" in own.output
    outputs = [subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, text=True, check=True).stdout
               for line in lines]
    name = re.search(r'"username":"(\w+)"', lines[0]).group(1)
    assert '"access_token"' in outputs[0]
    assert outputs[1].startswith("Authorization: Bearer ey")
    assert f'"username":"{name}"' in outputs[2].replace(" ", "")


def test_up_again_leaves_what_runs_alone_and_is_fast(own):
    before = {name: row["pid"] for name, row in own.status().items()}
    began = time.monotonic()
    own.up()
    assert time.monotonic() - began < READY_S * PATIENCE
    assert {name: row["pid"] for name, row in own.status().items()} == before


def test_up_restarts_only_what_is_down(own):
    before = {name: row["pid"] for name, row in own.status().items()}
    own.atrium("stop", "auth")
    rows = own.status()
    assert rows["auth"]["pid"] is None and not rows["auth"]["ready"] and rows["gateway"]["ready"]
    assert own.run("status").returncode == 3
    own.up()
    after = {name: row["pid"] for name, row in own.status().items()}
    assert after.pop("auth") != before.pop("auth") and after == before


def test_without_auth_the_gateway_says_unavailable_at_once(own):
    api = Api(own.url)
    own.atrium("stop", "auth")
    began = time.monotonic()
    answer = api.login("somebody")
    assert answer.status_code == 503 and time.monotonic() - began < 1 * PATIENCE
    own.atrium("start", "auth")
    assert poll(lambda: api.login("somebody").status_code == 401, what="auth answers again")


def test_streams_are_set_up_once(own):
    assert "  0 streams made or changed" in own.atrium("bus", "setup")
    assert own.atrium("bus", "setup", "--quiet") == ""


def test_auth_starts_only_when_its_streams_are_set_up(own):
    ops = Nats(own.nats_url, "ops", own.secret("nats_ops"))
    try:
        own.atrium("stop", "auth")
        assert ops.request("$JS.API.STREAM.DELETE.EVT_AUTH").json()["success"]
        assert own.run("start", "auth").returncode != 0
        assert "run `atrium bus setup`" in own.log("auth")
        assert "EVT_AUTH" in own.atrium("bus", "setup")
        own.atrium("start", "auth")
        assert ops.request("$JS.API.STREAM.INFO.EVT_AUTH").json()["config"]["max_age"] == 8 * 86400 * 10**9
    finally:
        ops.close()
        own.up()


@pytest.mark.parametrize("server", ["nats", "redis", "postgresql"])
def test_a_server_may_be_restarted(own, server):
    api = Api(own.url)
    user = api.register()
    pids = {name: row["pid"] for name, row in own.status().items() if name != server}
    own.atrium("restart", server)
    poll(lambda: api.me(user["access_token"]).status_code == 200, 30, "requests go through again")
    poll(lambda: api.login(user["user"]["username"]).status_code == 200, 30, "logins go through again")
    poll(lambda: all(row["ready"] for row in own.status().values()), 30, "all are ready")
    assert {name: row["pid"] for name, row in own.status().items() if name != server} == pids


def test_a_gateway_that_starts_later_knows_the_logins_that_ended(own):
    api = Api(own.url)
    user = api.register()
    first = api.post("/api/v1/auth/refresh", {"refresh_token": user["refresh_token"]}).json()
    api.post("/api/v1/auth/logout", {}, first["access_token"])
    poll(lambda: api.me(user["access_token"]).status_code == 401, 30, "the event is out")
    own.atrium("restart", "gateway")
    assert Api(own.url).me(user["access_token"]).status_code == 401


def test_reload_keeps_connections_and_process(own):
    api = Api(own.url)
    user = api.register()
    pid = own.status()["gateway"]["pid"]
    own.atrium("reload", "gateway")
    for _ in range(20):
        assert api.me(user["access_token"]).status_code == 200
    assert own.status()["gateway"]["pid"] == pid


def test_logs(own):
    assert '"serving"' in own.atrium("logs", "auth")
    assert "==>" in own.atrium("logs")
    follow = subprocess.Popen([str(ROOT / "bin/atrium"), "logs", "-f", "auth"], env=own.environment,
                              stdout=subprocess.PIPE, text=True)
    try:
        assert follow.stdout.readline()
    finally:
        follow.terminate()
        follow.wait()
    assert own.run("logs", "nobody").returncode != 0


def test_health_of_each_service_by_its_own_command(own):
    for name in ("auth", "gateway"):
        port = own.ports[f"ADMIN_PORT_{name}"]
        binary = str(pathlib.Path(own.environment.get("ATRIUM_BUILD", ROOT / "build")) / "bin" / name)
        environment = {"PATH": os.environ["PATH"], "ADMIN_ADDR": f"127.0.0.1:{port}", "JWT_SECRET": "x" * 40,
                       "GATEWAY_SIGNING_KEY": "0" * 64}
        # The database was restarted before: what hangs on a connection to it is taken again.
        poll(lambda: subprocess.run([binary, "healthcheck"], env=environment, stderr=subprocess.DEVNULL,
                                    check=False).returncode == 0, 30, f"{name} is healthy")
        environment["ADMIN_ADDR"] = "127.0.0.1:1"
        assert subprocess.run([binary, "healthcheck"], env=environment, stderr=subprocess.DEVNULL,
                              check=False).returncode == 1
        version = subprocess.run([binary, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        assert re.match(rf"{name} v\d+\.\d+\.\d+\S* \(commit: \S+, built: \S+\)$", version)
        assert "NATS_URL" in subprocess.run([binary, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.mark.parametrize("setting, value", [("LOG_LEVEL", "loud"), ("DB_POOL_SIZE", "many"), ("SHUTDOWN_TIMEOUT", "-1s"),
                                            ("NATS_URL", "x" * 2000)])
def test_a_wrong_setting_stops_the_start_with_its_name(own, setting, value):
    binary = str(pathlib.Path(own.environment.get("ATRIUM_BUILD", ROOT / "build")) / "bin/auth")
    done = subprocess.run([binary, "config", "check"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={"JWT_SECRET": "x" * 40, "DATABASE_URL": "postgresql://x@127.0.0.1/x", setting: value},
                          check=False)
    assert done.returncode == 2 and setting in done.stderr


def test_secrets_are_nobodys_business(own):
    for path in (own.folder / "stack/secrets").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    secrets = {p.read_text().strip() for p in (own.folder / "stack/secrets").iterdir()
               if not p.name.endswith("public_key") and "url" not in p.name}
    for pid, command in processes_of(own).items():
        for secret in secrets:
            assert secret not in command, f"process {pid} shows a secret"


def test_a_second_stack_beside_it(own):
    second = Stack(fresh=True)
    try:
        second.up()
        user = Api(second.url).register()
        assert Api(own.url).login(user["user"]["username"]).status_code == 401
        assert set(second.ports.values()) & set(own.ports.values()) <= {"1"}
    finally:
        second.destroy()
    assert not processes_of(second)
    assert all(row["ready"] for row in own.status().values())


def test_a_busy_port_is_named(own):
    other = Stack(fresh=True)
    other.environment["ATRIUM_NATS_PORT"] = own.ports["NATS_PORT"]
    try:
        for name, value in {"ATRIUM_PG_PORT": "30011", "ATRIUM_REDIS_PORT": "30012", "ATRIUM_ADMIN_PORT": "30020"}.items():
            other.environment[name] = value
        done = other.run("up", timeout=60)
        assert done.returncode != 0
        assert "ATRIUM_NATS_PORT" in done.stderr and own.ports["NATS_PORT"] in done.stderr
    finally:
        other.destroy()


def test_down_leaves_no_process_and_keeps_the_data(own):
    api = Api(own.url)
    user = api.register()
    assert len(processes_of(own)) >= 5
    own.atrium("down", timeout=90)
    assert not processes_of(own)
    assert all(row["pid"] is None for row in own.status().values())
    own.atrium("down")  # once more: nothing to do
    began = time.monotonic()
    own.up()
    assert time.monotonic() - began < READY_S * PATIENCE
    answer = Api(own.url).login(user["user"]["username"], PASSWORD)
    assert answer.status_code == 200
    assert Api(own.url).me(user["access_token"]).status_code == 200
