"""Everything is replaced while it is used, and nobody notices: two gateways behind a proxy, and auth, one after the
other, several times. `ROLLING=full` (make test-rolling) is at least 20,000 requests over five rolls of each."""
import os
import re
import signal
import subprocess

import pytest

from api import Api
from load import Load
from polling import poll
from proxy import Caddy, free_port
from stack import ROOT, Stack

pytestmark = pytest.mark.local
FULL = os.environ.get("ROLLING") == "full"
REQUESTS, ROLLS = (20_000, 5) if FULL else (3_000, 1)


@pytest.fixture(scope="module")
def stack():
    own = Stack(gateways=2, settings={"GATEWAY_DRAIN_GRACE": "1s", "TRUSTED_PROXY_CIDRS": "127.0.0.0/8"})
    try:
        yield own.up()
    finally:
        own.destroy()


@pytest.fixture(scope="module")
def proxy(stack):
    caddy = Caddy(stack.url, stack.url2)
    try:
        yield caddy
    finally:
        caddy.close()


@pytest.fixture(scope="module")
def load(proxy):
    poll(lambda: Api(proxy.url).get("/readyz").status_code == 200, what="the proxy finds a gateway")
    clients = Load(proxy.url).start()
    try:
        yield clients
    finally:
        clients.stop()


class SecondAuth:
    """Another instance of auth beside the stack's, as an orchestrator starts one before it stops the other."""

    def __init__(self, stack):
        environment = dict(line.split("=", 1)
                           for line in (stack.folder / "stack/run/auth.env").read_text().splitlines())
        environment["ADMIN_ADDR"] = f"127.0.0.1:{free_port()}"
        environment.update({k: v for k, v in stack.environment.items() if k not in environment})
        binary = os.path.join(os.environ.get("ATRIUM_BUILD", ROOT / "build"), "bin/auth")
        self.log = open(stack.folder / "stack/logs/auth-second.log", "ab")
        self.process = subprocess.Popen([binary], env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        admin = Api(f"http://{environment['ADMIN_ADDR']}")
        poll(lambda: admin.get("/readyz").status_code == 200, 30, "the second auth is ready")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        self.log.close()


def requests_of(url):
    rows = re.findall(r"^atrium_http_requests_total\{[^}]*/users/@me\"[^}]*\} (\d+)", Api(url).get("/metrics").text, re.M)
    return sum(map(int, rows))


def roll_gateway(stack, name, url):
    before = stack.status()[name]["pid"]
    stack.atrium("restart", name)
    assert stack.status()[name]["pid"] != before
    # The next one may go only when this one is used again.
    poll(lambda: requests_of(url) > 0, 30, f"{name} takes requests again")


def serve_beside(stack):
    """Auth is replaced by another instance, then that one by a new auth of the stack: two rolls."""
    second = SecondAuth(stack)
    stack.atrium("stop", "auth")
    stack.atrium("start", "auth")
    second.stop()


def test_nothing_fails_while_everything_is_replaced(stack, proxy, load):
    auth_rolls = 0
    for _ in range(ROLLS):
        roll_gateway(stack, "gateway", stack.url)
        if auth_rolls < ROLLS:
            serve_beside(stack)
            auth_rolls += 2
        roll_gateway(stack, "gateway-2", stack.url2)
    assert auth_rolls >= ROLLS
    poll(lambda: load.done() >= REQUESTS, 120, f"{REQUESTS} requests")
    load.stop()
    print(f"{load.done()} requests, {ROLLS} rolls of each gateway, {auth_rolls} of auth: {len(load.failures())} failed, "
          f"{load.resets()} kept connections were reset by the proxy")
    assert load.failures() == [], proxy.errors()
    assert load.resets() <= load.done() // 100      # a keep-alive that ends as its gateway goes; not a way of working
    for name in ("gateway", "gateway-2", "auth", "auth-second"):
        log = stack.log(name)
        assert "drain_cut_short" not in log and "rpc_drain_timeout" not in log, log[-2000:]
