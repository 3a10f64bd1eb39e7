"""Outside subscribers: the examples of docs/examples/subscriber, with real events. ATRIUM_NPM=1 adds the one that needs a
client from npm."""
import os
import queue
import secrets
import subprocess
import threading

import pytest

from api import claims
from polling import poll
from stack import ROOT

pytestmark = pytest.mark.local
EXAMPLES = ROOT / "docs/examples/subscriber"
NPM = ROOT / "build/test/npm"
COMMANDS = {
    "c": [str(ROOT / "build/bin/example-subscriber")],
    "python": ["/usr/bin/python3", "-B", str(EXAMPLES / "subscriber.py")],
}
if os.environ.get("ATRIUM_NPM"):
    COMMANDS["javascript"] = ["node", str(NPM / "subscriber.mjs")]


class Running:
    """An example with its output, line by line."""

    def __init__(self, command, subscriber, subject):
        self.process = subprocess.Popen(
            [*command, subject], stdout=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "NATS_URL": subscriber.url, "NATS_USER": subscriber.user,
                 "NATS_PASSWORD": subscriber.password})
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def __enter__(self):
        assert self.next() == "listening"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def next(self, seconds=10):
        return self.lines.get(timeout=seconds)

    def quiet(self, seconds=0.3):
        try:
            return self.lines.get(timeout=seconds) is None
        except queue.Empty:
            return True


@pytest.fixture(scope="session", autouse=True)
def built():
    subprocess.run(["make", "--no-print-directory", "example-subscriber"], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)


def end_a_login(api):
    """What an example prints of it, without the event's id."""
    user = api.register()
    login = claims(user["access_token"])["sid"]
    assert api.post("/api/v1/auth/logout", {}, user["access_token"]).status_code == 204
    return f"login {login} of user {user['user']['id']}"


def told(line):
    kind, event_id, rest = line.split(" ", 2)
    assert kind == "atrium.auth.login.ended" and len(event_id) == 36
    return rest


@pytest.fixture(scope="module")
def watcher(add_subscriber):
    return add_subscriber("watcher", "--read", "evt.auth.login.>")


@pytest.mark.parametrize("language", COMMANDS)
def test_events_are_seen_as_they_happen(api, watcher, language):
    with Running(COMMANDS[language], watcher, "evt.auth.login.>") as example:
        for _ in range(2):
            expected = end_a_login(api)
            assert told(example.next()) == expected


@pytest.mark.parametrize("language", COMMANDS)
def test_a_durable_subscriber_misses_nothing(api, add_subscriber, language):
    name = "d" + secrets.token_hex(4)
    subscriber = add_subscriber(name, "--read", "evt.auth.login.>", "--durable")
    while_away = end_a_login(api)
    with Running(COMMANDS[language], subscriber, f"_INBOX.{name}.events") as example:
        lines = [told(example.next())]
        while lines[-1] != while_away:  # what other tests did before comes first
            lines.append(told(example.next()))
    again = end_a_login(api)
    with Running(COMMANDS[language], subscriber, f"_INBOX.{name}.events") as example:
        assert told(example.next()) == again, "what was acknowledged does not come again"
        assert example.quiet()


@pytest.mark.parametrize("words, complaint", [
    (["x1", "--read", "dsp.auth.>"], "only events"),
    (["x1", "--read", "evt"], "only events"),
    (["x1", "--read", "evt.auth.>.more"], "no subject"),
    (["x1", "--read", "evt..x"], "no subject"),
    (["x1", "--read", 'evt.a"b'], "no subject"),
    (["x1", "--read", "evt.>", "--durable"], "names its domain"),
    (["x1"], "name a subject"),
    (["auth", "--read", "evt.>"], "the platform's own"),
    (["gateway", "--read", "evt.>"], "the platform's own"),
    (["ops", "--read", "evt.>"], "the platform's own"),
    (["X", "--read", "evt.>"], "name the user"),
    (["../x", "--read", "evt.>"], "name the user"),
])
def test_wrong_use_is_refused(stack, words, complaint):
    done = stack.run("bus", "user", "add", *words)
    assert done.returncode == 2 and complaint in done.stderr, done.stderr


def consumers(connect):
    return connect("ops").request("$JS.API.CONSUMER.NAMES.EVT_AUTH", b"{}").json()["consumers"] or []


def test_a_name_is_given_once_and_taken_back(stack, add_subscriber, connect):
    subscriber = add_subscriber("twice", "--read", "evt.auth.>", "--durable")
    done = stack.run("bus", "user", "add", "twice", "--read", "evt.auth.>")
    assert done.returncode == 1 and "already" in done.stderr
    assert "twice" in consumers(connect)
    assert "twice" in stack.atrium("bus", "user", "remove", "twice")
    assert "twice" not in consumers(connect)
    with pytest.raises(AssertionError):
        stack.atrium("bus", "user", "remove", "twice")
    again = add_subscriber("twice", "--read", "evt.auth.>")
    assert again.password != subscriber.password


def test_the_password_is_kept_by_its_hash_alone(stack, watcher):
    folder = stack.folder / "stack"
    entry = folder / "nats/users/watcher.conf"
    assert entry.stat().st_mode & 0o777 == 0o600
    for path in [entry, *folder.glob("run/*.conf"), *folder.glob("logs/*")]:
        assert watcher.password not in path.read_text(errors="replace"), path


def test_elsewhere_the_entry_is_printed(stack):
    environment = dict(stack.environment)
    stack.environment["NATS_URL"] = "nats://nats.example.org:4222"
    try:
        output = stack.atrium("bus", "user", "add", "far", "--read", "evt.auth.>")
    finally:
        stack.environment.clear()
        stack.environment.update(environment)
    assert 'user: "far"' in output and "authorization.users" in output and "nats.example.org" in output
    assert not (stack.folder / "stack/nats/users/far.conf").exists()


def test_subscribers_outlive_a_restart(stack, api, watcher):
    stack.atrium("up", timeout=120)
    stack.atrium("restart", "nats")
    stack.atrium("up", timeout=120)
    with Running(COMMANDS["python"], watcher, "evt.auth.login.>") as example:
        # auth finds the bus again in its own time.
        expected = poll(lambda: end_a_login(api), 30, "a login can be ended again")
        assert told(example.next(30)) == expected
