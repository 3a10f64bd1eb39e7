"""The gateway protocol of chat: two people, two gateways, direct channels. What happens is seen by those who may see it,
once, and nothing is lost when a connection breaks."""
import contextlib
import json

import pytest
import websockets

from chat_api import Person
from chat_live import HELLO, barrier


@pytest.fixture
def ann(api):
    return Person(api)


@pytest.fixture
def bob(api2):
    return Person(api2)


# ---------------------------------------------------------------------------------------------------- the protocol
def test_hello_heartbeat_and_ready(stack, clients, ann):
    client = clients.connect(stack.url)
    assert client.frames[0] == {"op": HELLO, "d": {"heartbeat_interval": 41250}}
    client.send({"op": 1, "d": None})
    client.wait(lambda: {"op": 11} in client.frames)
    client.send(json.dumps({"op": 1}).encode())  # binary frames are read alike
    client.wait(lambda: client.frames.count({"op": 11}) == 2)
    client.identify(ann.token)
    ready = client.wait_event("READY")
    assert ready["user_id"] == ann.id and ready["guilds"] == [] and ready["read_states"] == []
    assert all(isinstance(frame["s"], int) for frame in client.frames if frame["op"] == 0)


@pytest.mark.parametrize("frame, code", [
    ("nonsense", 4002), ("[]", 4002), ('{"op":"2"}', 4002), ('{"op":2}', 4002), ('{"op":2,"d":{"token":1}}', 4002),
    ('{"op":2,"d":{"token":"nonsense"}}', 4004), ('{"op":6,"d":{"token":"nonsense","session_id":"x","seq":1}}', 4004),
    ('{"op":0}', 4001), ('{"op":4,"d":{}}', 4001), ('{"op":99}', 4001), ('{"op":3,"d":{"status":"idle"}}', 4003),
    ("x" * 5000, 1009),
])
def test_what_is_no_protocol_is_closed_with_a_code(stack, clients, frame, code):
    client = clients.connect(stack.url)
    client.send(frame)
    assert client.wait_close() == code


def test_identifying_twice_is_closed(live, ann):
    client = live(ann)
    client.identify(ann.token)
    assert client.wait_close() == 4002


def test_too_many_frames_are_closed(live, ann):
    client = live(ann)
    with contextlib.suppress(websockets.exceptions.ConnectionClosed):  # while it is still being sent
        for _ in range(130):
            client.send({"op": 1})
    assert client.wait_close() == 4008


def test_a_login_that_ends_takes_its_connections_along(live, ann, bob):
    client, other = live(ann), live(bob)
    ann.call("POST", "/auth/logout", {"refresh_token": ann.refresh}, 204)
    assert client.wait_close() == 4004
    assert other.code is None


# ---------------------------------------------------------------------------------------------------- direct channels
def test_a_dm_reaches_both_over_two_gateways(live, ann, bob):
    one, two = live(ann), live(bob, gateway=2)
    dm = ann.dm(bob)
    for client in (one, two):
        created = client.wait_event("CHANNEL_CREATE", id=dm["id"])
        assert {r["id"] for r in created["recipients"]} == {ann.id, bob.id}
    message = ann.say(dm, "hello")
    for client in (one, two):
        seen = client.wait_event("MESSAGE_CREATE", id=message["id"])
        assert seen["content"] == "hello" and seen["author_id"] == ann.id and seen["channel_id"] == dm["id"]
    bob.call("POST", f"/channels/{dm['id']}/typing", status=204)
    typing = one.wait_event("TYPING_START", user_id=bob.id)
    assert typing["channel_id"] == dm["id"] and "guild_id" not in typing and isinstance(typing["timestamp"], int)
    barrier(bob, two, dm)
    assert not two.of("TYPING_START")  # not to the typist


def test_a_third_person_sees_nothing_of_a_dm(live, ann, bob, api):
    eve = Person(api)
    spy, two = live(eve), live(bob, gateway=2)
    dm = ann.dm(bob)
    ann.say(dm, "secret")
    two.wait_event("MESSAGE_CREATE", content="secret")
    own = eve.dm(ann)
    eve.say(own, "mine")
    spy.wait_event("MESSAGE_CREATE", content="mine")
    assert [m["content"] for m in spy.of("MESSAGE_CREATE")] == ["mine"]


# ---------------------------------------------------------------------------------------------------- resuming
def test_a_broken_connection_resumes_exactly(stack, live, ann, bob):
    client = live(bob)
    dm = ann.dm(bob)
    first = ann.say(dm, "seen")
    client.wait_event("MESSAGE_CREATE", id=first["id"])
    client.cut()
    missed = [ann.say(dm, f"missed {i}")["id"] for i in range(20)]
    before = client.mark()
    client.open(stack.url2)
    client.resume(bob.token)
    client.wait_event("RESUMED", before)
    client.wait_event("MESSAGE_CREATE", before, id=missed[-1])  # the latest may have been on their way
    names = [name for name, _ in client.events[before:]]
    assert [m["id"] for name, m in client.events[before:] if name == "MESSAGE_CREATE"] == missed
    assert "READY" not in names
    after = ann.say(dm, "after")
    client.wait_event("MESSAGE_CREATE", before, id=after["id"])
    numbers = [frame["s"] for frame in client.frames if frame["op"] == 0]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("changed", [
    {"session_id": "nonsense"}, {"session_id": ""}, {"session_id": None}, {"seq": None}, {"seq": -1}, {"seq": "x"},
    {"seq": 2 ** 53}, {"session_id": "a" * 600},
])
def test_a_resume_that_cannot_be_gets_a_ready(stack, live, ann, changed):
    client = live(ann)
    client.cut()
    before = client.mark()
    client.open(stack.url)
    client.resume(ann.token, **changed)
    assert client.wait_event("READY", before)["session_id"] != client.of("READY")[0]["session_id"]
    assert client.code is None and not client.of("RESUMED")


def test_nobody_takes_over_a_session(stack, live, ann, bob):
    client, thief = live(ann), live(bob)
    thief.cut()
    thief.session = client.session
    before = thief.mark()
    thief.open(stack.url)
    thief.resume(bob.token)
    assert thief.wait_event("READY", before)["user_id"] == bob.id


def test_a_dead_token_resumes_nothing(stack, live, ann):
    client = live(ann)
    client.cut()
    client.open(stack.url)
    client.resume("nonsense")
    assert client.wait_close() == 4004
