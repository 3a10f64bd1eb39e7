"""The browser client of chat, unmodified: what it sends and must get (contracts/chat.md section 15), replayed on a host
with profile chat-web."""
import pytest

from api import Api
from replay import TRACES, Replay
from stack import running

pytestmark = pytest.mark.local
HOST = "chat.test"


@pytest.fixture(scope="module")
def web():
    with running(gateways=2, settings={"GATEWAY_HOSTS": f"{HOST}=chat-web"}) as own:
        yield own


@pytest.fixture(scope="module")
def web_everywhere():
    with running(settings={"CHAT_DIALECT": "web"}) as own:
        yield own


def traces():
    return pytest.mark.parametrize("trace", sorted(path.stem for path in TRACES.glob("chat-web-*.json")))


@traces()
def test_trace(web, clients, trace):
    Replay(Api(web.url), clients, web.url, HOST).play(trace)


@traces()
def test_trace_at_any_host(web_everywhere, clients, trace):
    """CHAT_DIALECT=web: for an installation that has no other client."""
    Replay(Api(web_everywhere.url), clients, web_everywhere.url, "any.test").play(trace)


def test_another_host_speaks_as_others_do(web, clients):
    """No sniffing: the same browser, where nothing was bound, gets bare answers and is not primed."""
    answer = Api(web.url).post("/api/v1/auth/register", {"username": "bare", "password": "secret77"},
                               headers={"User-Agent": "Mozilla/5.0"})
    client = clients.connect(web.url, answer.json()["access_token"])
    assert "data" not in answer.json() and not client.of("MESSAGE_DELETE")
