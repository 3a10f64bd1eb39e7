"""Hostile clients against a stack of its own, whose patience is short so that its end can be awaited; once directly, once
through a real proxy."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))

from api import Api  # noqa: E402
from clients import Process, raise_descriptors  # noqa: E402
from polling import poll  # noqa: E402
from proxy import Caddy  # noqa: E402
from stack import Stack  # noqa: E402

PATIENCE = {
    "GATEWAY_HEAD_TIMEOUT": "2s",
    "GATEWAY_BODY_TIMEOUT": "2s",
    "GATEWAY_CONNECTION_TIMEOUT": "4s",
    "GATEWAY_MIN_RATE": "1M",
    "TRUSTED_PROXY_CIDRS": "127.0.0.0/8",
}


LARGE_BYTES = 3_000_000  # of a document that is read slowly


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    raise_descriptors()
    large = tmp_path_factory.mktemp("large") / "openapi.json"
    large.write_text('{"x":"' + "x" * LARGE_BYTES + '"}')
    own = Stack(settings={**PATIENCE, "GATEWAY_OPENAPI": str(large)})
    try:
        yield own.up()
    finally:
        own.destroy()


@pytest.fixture(scope="session")
def proxy(stack):
    caddy = Caddy(stack.url)
    try:
        poll(lambda: Api(caddy.url).get("/readyz").status_code == 200, what="the proxy finds the gateway")
        yield caddy
    finally:
        caddy.close()


@pytest.fixture
def api(stack):
    return Api(stack.url)


@pytest.fixture
def user(api):
    return api.register()


@pytest.fixture
def gateway(stack):
    """Its process; after the test it must be the same one, as large as before."""
    process = Process(stack)
    yield process
    process.is_as_before()
