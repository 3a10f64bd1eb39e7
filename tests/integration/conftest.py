import os
import pathlib
import secrets
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from api import Api  # noqa: E402
from chat_live import Clients  # noqa: E402
from nats_client import Nats  # noqa: E402
from stack import Deployed, running  # noqa: E402
from uploads import Database, Uploads  # noqa: E402


@pytest.fixture(scope="session")
def stack():
    """Two gateways and everything behind them."""
    if os.environ.get("ATRIUM_URL"):
        yield Deployed()
        return
    with running(gateways=2) as own:
        yield own


@pytest.fixture
def api(stack):
    return Api(stack.url)


@pytest.fixture
def api2(stack):
    """The other gateway."""
    return Api(stack.url2)


@pytest.fixture
def user(api):
    """A fresh account, logged in: its answer, with the password besides."""
    return api.register()


@pytest.fixture
def database(stack):
    """Media's tables."""
    own = Database(stack)
    yield own
    own.close()


@pytest.fixture
def mine(api, user):
    """Uploads of a fresh account; the library's suites have one of their own."""
    return Uploads(api, user["access_token"])


@pytest.fixture
def bus(stack):
    """Connects to the bus as one of its users."""
    connections = []

    def connect(name):
        password = stack.secret(f"nats_{name}")
        assert password, f"ATRIUM_SECRET_NATS_{name.upper()} is needed for this test"
        connections.append(Nats(stack.nats_url, name, password))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


@pytest.fixture
def name():
    """A username that nobody has."""
    return "u" + secrets.token_hex(6)


@pytest.fixture(scope="session")
def clients():
    """Of chat's gateway protocol."""
    with Clients() as all_:
        yield all_


@pytest.fixture
def live(stack, clients):
    """Somebody's client, with its READY: at the first gateway, or at the second."""
    def live(who, gateway=1, **options):
        return clients.connect(stack.url if gateway == 1 else stack.url2, who.token, **options)
    return live
