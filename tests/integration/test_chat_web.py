"""The browser client of chat, unmodified: what it sends and must get (contracts/chat.md section 15), replayed on a host
with profile chat-web."""
import pytest

from api import Api
from replay import TRACES, Replay
from stack import Stack

pytestmark = pytest.mark.local
HOST = "chat.test"


@pytest.fixture(scope="module")
def web():
    own = Stack(gateways=2, settings={"GATEWAY_HOSTS": f"{HOST}=chat-web"})
    try:
        yield own.up()
    finally:
        own.destroy()


@pytest.mark.parametrize("trace", sorted(path.stem for path in TRACES.glob("chat-web-*.json")))
def test_trace(web, clients, trace):
    Replay(Api(web.url), clients, web.url, HOST).play(trace)


def test_another_host_speaks_as_others_do(web, clients):
    """No sniffing: the same browser, where nothing was bound, gets bare answers and is not primed."""
    answer = Api(web.url).post("/api/v1/auth/register", {"username": "bare", "password": "secret77"},
                               headers={"User-Agent": "Mozilla/5.0"})
    client = clients.connect(web.url, answer.json()["access_token"])
    assert "data" not in answer.json() and not client.of("MESSAGE_DELETE")
