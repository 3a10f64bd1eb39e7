"""Nobody misses a message: a crowd of clients while a gateway is killed, the chat service, or nats-server, and people go on
posting. CHAT_CROWD is its size: 50, and 500 in make chaos."""
import os
import signal

import pytest

from api import Api
from chat_api import Person, everybody
from chat_crowd import Crowd
from chat_live import Clients
from polling import PATIENCE
from stack import Stack

pytestmark = pytest.mark.local
SIZE = int(os.environ.get("CHAT_CROWD", "50"))
POSTS = 60  # before, during and after
LEASE_S, GRACE_S = 30, 10  # of a gateway that says nothing any more; of somebody who has gone


@pytest.fixture(scope="module")
def own():
    stack = Stack(gateways=2, settings={"ATRIUM_PG_FSYNC": "on"})
    try:
        yield stack.up()
    finally:
        stack.destroy()


def kill(stack, name):
    pid = int((stack.folder / "stack/run" / f"{name}.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def crowd(own):
    with Clients() as clients:
        crowd = Crowd(clients, [own.url, own.url2], SIZE)
        crowd.begin()
        crowd.await_posts(POSTS)
        try:
            yield crowd
        finally:
            crowd.finish()


def is_back(crowd, before):
    """Each has a session on a socket that it opened since."""
    crowd.await_all(lambda f: f.resumed > before[f], 120, "all resumed")


def resumes(crowd):
    return {f: f.resumed for f in crowd.followers}


def test_a_killed_gateway(own, crowd):
    before = resumes(crowd)
    kill(own, "gateway")
    crowd.await_posts(POSTS)  # at the other one, while the clients come over
    own.atrium("start", "gateway")
    is_back(crowd, before)
    crowd.await_posts(POSTS)
    crowd.finish()
    crowd.check()


def test_a_restarted_gateway_says_so(own, crowd):
    """Op 7, then 1001: its clients come again at once, and need not wait for a timeout."""
    before = resumes(crowd)
    own.atrium("restart", "gateway")
    is_back(crowd, before)
    crowd.await_posts(POSTS)
    crowd.finish()
    crowd.check()
    assert all({"op": 7} in f.frames for f in crowd.followers)


def test_a_killed_chat_service(own, crowd):
    kill(own, "chat")
    own.atrium("start", "chat")
    crowd.await_posts(POSTS)
    crowd.finish()
    crowd.check()


def test_a_restarted_nats_server(own, crowd):
    kill(own, "nats")
    own.atrium("start", "nats")
    crowd.await_posts(POSTS)
    crowd.finish()
    crowd.check()


def test_who_was_connected_to_a_dead_gateway_goes_offline(own):
    """Nobody says that he is gone: the gateway's lease ends."""
    with Clients() as clients:
        ann, bob = Person(Api(own.url2)), Person(Api(own.url2))
        everybody(ann.guild(), ann, bob)
        watcher = clients.connect(own.url2, ann.token)
        gone = clients.connect(own.url, bob.token)
        watcher.wait_event("PRESENCE_UPDATE", user_id=bob.id, status="online")
        kill(own, "gateway")
        assert gone.wait_close() == 1006
        watcher.wait_event("PRESENCE_UPDATE", 0, (LEASE_S + GRACE_S) * PATIENCE, user_id=bob.id, status="offline")
    own.atrium("start", "gateway")
