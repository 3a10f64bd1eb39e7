"""The matrices run on a private stack of their own: they make users, read streams and try what must fail."""
import pathlib
import re
import secrets
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))

from api import PASSWORD, Api  # noqa: E402
from nats_client import Nats  # noqa: E402
from polling import poll  # noqa: E402
from scenes import Scenes  # noqa: E402
from stack import Stack  # noqa: E402


class Subscriber:
    """What `atrium bus user add` printed."""

    def __init__(self, output):
        self.output = output
        self.url, self.user, self.password = (re.search(rf"^{word} +(\S+)$", output, re.M).group(1)
                                              for word in ("url", "user", "password"))


def text_field(number, text):
    """Of a protobuf message; shorter than 128 bytes."""
    return bytes([number << 3 | 2, len(text)]) + text.encode()


class MatrixStack(Stack):
    """With people of rank. They are made as `atrium user create` makes them, without a process for each."""

    token, token_until = None, 0

    def administrator(self):
        """A token that may everything, of somebody with a password."""
        if time.monotonic() > self.token_until:
            answer = Api(self.url).login(self.account("admin"))
            assert answer.status_code == 200, answer.text
            self.token, self.token_until = answer.json()["access_token"], time.monotonic() + 60
        return self.token

    def account(self, role):
        """The name of a new one, whose password is PASSWORD."""
        name = "m" + secrets.token_hex(6)
        with Nats(self.nats_url, "ops", self.secret("nats_ops")) as ops:
            answer = ops.request("svc.main.ops.auth.v1.CreateUser", callee="auth", seconds=30,
                                 body=text_field(1, name) + text_field(2, PASSWORD) + text_field(4, role))
        assert answer is not None and "Nats-Service-Error-Code" not in answer.headers, answer and answer.headers
        return name


@pytest.fixture(scope="session")
def stack():
    own = MatrixStack()
    try:
        yield own.up()
    finally:
        own.destroy()


@pytest.fixture(scope="session")
def scenes(stack):
    return Scenes(stack)


@pytest.fixture(scope="session")
def api(stack):
    return Api(stack.url)


@pytest.fixture(scope="session")
def add_subscriber(stack):
    def add(name, *words):
        subscriber = Subscriber(stack.atrium("bus", "user", "add", name, *words))

        def connected():  # nats-server reads its configuration a moment later
            try:
                with Nats(subscriber.url, subscriber.user, subscriber.password):
                    return True
            except Exception:  # refused in one of several ways
                return False

        poll(connected, what=f"{name} may connect")
        return subscriber

    return add


@pytest.fixture(scope="session")
def subscribers(add_subscriber):
    """One without and one with a place in the stream; both may read that a user registered."""
    return {"reader": add_subscriber("reader", "--read", "evt.auth.user.>"),
            "keeper": add_subscriber("keeper", "--read", "evt.auth.user.>", "--durable")}


@pytest.fixture
def connect(stack, subscribers):
    connections = []

    def connect(user):
        password = subscribers[user].password if user in subscribers else stack.secret(f"nats_{user}")
        connections.append(Nats(stack.nats_url, user, password))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()
