"""Streams of messages over HTTP, as server-sent events: the producer is the test (edge.py, docs/bus.md "Streams")."""
import os
import signal
import time

import pytest

from edge import Edge, Producer, field, token
from nats_client import Nats
from polling import PATIENCE, poll

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def edge():
    own = Edge({"GATEWAY_EVENTS_COMMENT": "1s"})
    try:
        yield own.start()
    finally:
        own.stop()


@pytest.fixture
def producer(edge):
    own = Producer(edge.nats_url)
    yield own
    own.nats.close()


def happening(number=None, kind=None, text=None):
    return b"".join(field(i + 1, v) for i, v in enumerate((number, kind, text)) if v is not None)


def watch(edge, producer, head="GET /watch/x HTTP/1.1"):
    """A client whose stream is open, and what the producer was asked."""
    client = edge.connect()
    client.send(head)
    request = producer.take()
    producer.open()
    answer = client.head()
    assert answer.startswith(b"HTTP/1.1 200"), answer
    assert b"Content-Type: text/event-stream\r\n" in answer and b"Cache-Control: no-store\r\n" in answer
    return client, request


def event(client):
    """The next one that is no comment."""
    while (lines := client.event()) == [":"]:
        pass
    return lines


def test_each_message_is_an_event_at_once(edge, producer):
    client, request = watch(edge, producer, "GET /watch/a%20b HTTP/1.1\r\nLast-Event-ID: 41")
    assert request.subject == "rpc.main.edge.v1.Watch" and request.body == field(1, "a b")
    assert request.headers["Http-last-event-id"] == "41"
    for i in range(42, 45):
        producer.send(happening(i, "step", f"number {i}\nline"))
        assert event(client) == [f"id: {i}", "event: step", f'data: {{"text":"number {i}\\nline"}}']
    producer.send(happening())
    assert event(client) == ["data: {}"]
    producer.end()
    assert event(client) is None
    # The connection is good for more.
    assert client.ask("GET /open/get/5 HTTP/1.1").complete
    client.close()


def test_a_line_cannot_be_made_by_a_value(edge, producer):
    client, _ = watch(edge, producer)
    producer.send(happening(1, "x\ndata: evil", "a\r\nb"))
    assert event(client) == ["id: 1", 'data: {"text":"a\\r\\nb"}']
    client.close()


def test_a_question_may_have_a_body(edge, producer):
    client = edge.connect()
    client.send("POST /ask HTTP/1.1\r\nContent-Type: application/json", b'{"topic":"why"}')
    assert producer.take().body == field(1, "why")
    producer.open()
    assert client.head().startswith(b"HTTP/1.1 200")
    producer.send(happening(text="so"))
    assert event(client) == ['data: {"text":"so"}']
    producer.end()
    assert event(client) is None
    client.close()


@pytest.mark.parametrize("accept, streamed", [
    ("text/event-stream", True), ("application/json, text/event-stream;q=0.5", True), ("TEXT/Event-Stream", True),
    ("*/*", False), ("text/*", False), ("text/event-stream;q=0, */*", False), ("application/json", False)])
def test_who_accepts_events_gets_the_stream_of_the_path(edge, producer, accept, streamed):
    client = edge.connect()
    client.send(f"GET /list/all HTTP/1.1\r\nAccept: {accept}\r\nLast-Event-ID: c7")
    request = producer.take()
    assert request.subject == "rpc.main.edge.v1." + ("WatchRaw" if streamed else "List")
    assert request.body == field(1, "all")
    assert request.headers.get("Http-last-event-id") == ("c7" if streamed else None)
    client.close()


def test_a_service_may_write_the_data_itself(edge, producer):
    client, _ = watch(edge, producer, "GET /list/all/stream HTTP/1.1")
    producer.send(field(1, "c8") + field(2, "kind") + field(3, '{"a":1}\n{"b":2}'))
    assert event(client) == ["id: c8", "event: kind", 'data: {"a":1}', 'data: {"b":2}']
    producer.send(field(1, "c9\ndata: evil") + field(3, "x"))
    assert event(client) == ["data: x"]
    client.close()


def test_head_asks_nobody(edge):
    answer = edge.ask("HEAD /watch/x HTTP/1.1")
    assert answer.status == 200 and answer.headers["content-type"] == "text/event-stream"


def status(reason, text):
    return field(1, reason) + field(2, text)


def test_a_refusal_is_an_ordinary_answer(edge, producer):
    client = edge.connect()
    client.send("GET /watch/x HTTP/1.1")
    producer.take()
    producer.nats.publish(producer.reply, status("NOT_FOUND", "no such topic"),
                          headers={"Nats-Service-Error-Code": "5", "Nats-Service-Error": "x"})
    answer = client.answer()
    assert answer.status == 404 and answer.json()["detail"] == "no such topic"
    client.close()
    assert edge.ask("GET /mine/x HTTP/1.1").status == 401


def test_nobody_there_is_503(edge):
    answer = edge.ask("GET /briefly/x HTTP/1.1")
    assert answer.status == 503 and answer.headers["retry-after"] == "1"


def test_a_failure_within_is_an_event_in_the_dialects_manner(edge, producer):
    client, _ = watch(edge, producer)
    producer.send(happening(1))
    producer.end(5, status("NOT_FOUND", "it went away"))
    assert event(client)[0] == "id: 1"
    lines = event(client)
    assert lines[0] == "event: error" and '"detail":"it went away"' in lines[1] and '"status":404' in lines[1], lines
    assert event(client) is None
    client.close()


@pytest.mark.parametrize("how", ["gap", "beat"])
def test_a_lost_message_is_told(edge, producer, how):
    client, _ = watch(edge, producer)
    if how == "gap":
        producer.send(happening(1), seq=2)
    else:
        producer.nats.publish(producer.reply, headers={"Atrium-Stream-Beat": "1"})
    assert event(client)[0] == "event: error"
    assert event(client) is None
    assert producer.cancelled()
    client.close()


def test_a_silent_stream_says_so(edge, producer):
    client, _ = watch(edge, producer)
    assert client.event() == [":"] and client.event() == [":"]
    headers = producer.control()
    assert int(headers["Atrium-Stream-Credit"]) == producer.credit
    client.close()


def test_a_client_that_leaves_ends_the_producer(edge, producer):
    client, _ = watch(edge, producer)
    producer.send(happening(1))
    event(client)
    client.close()
    assert producer.cancelled(PATIENCE)
    poll(lambda: edge.metric("atrium_event_streams") == 0)


def test_a_slow_client_slows_the_producer(edge, producer):
    """It keeps to its credit; what the client has not read is bounded by that."""
    client, _ = watch(edge, producer)
    client.socket.settimeout(30)
    sent, cost, credit = 0, 0, producer.credit
    body = happening(None, None, "x" * 8000)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        if cost + len(body) + 128 <= credit:
            producer.send(body)
            sent, cost = sent + 1, cost + len(body) + 128
        elif (headers := producer.control(0.2)) is not None:
            credit = max(credit, int(headers["Atrium-Stream-Credit"]))
    assert cost < 16 << 20, "somebody takes it all"  # what fits into sockets
    for _ in range(sent):
        assert len(event(client)[0]) == 8000 + len('data: {"text":""}')
    until = time.monotonic() + 10
    while credit < cost + 8000 and time.monotonic() < until:
        credit = max(credit, int((producer.control() or {"Atrium-Stream-Credit": 0})["Atrium-Stream-Credit"]))
    assert credit >= cost
    producer.end()
    assert event(client) is None
    client.close()


def test_the_end_of_a_login_cuts_its_stream(edge, producer):
    login = f"01a1f9d0-812a-7dc3-99d6-{os.urandom(6).hex()}"
    client, request = watch(edge, producer, f"GET /mine/x HTTP/1.1\r\nAuthorization: Bearer {token(login=login)}")
    assert request.headers["Atrium-Caller"]
    producer.send(happening(1))
    event(client)
    with Nats(edge.nats_url, "auth") as bus:
        bus.publish(f"evt.auth.login.ended.{login}", b"")
        bus.flush()
        assert client.left(PATIENCE)
    assert producer.cancelled(PATIENCE)
    client.close()


def test_a_stream_ends_well_when_its_time_is_over(edge, producer):
    client, _ = watch(edge, producer, "GET /briefly/x HTTP/1.1")
    producer.send(happening(1))
    event(client)
    assert event(client) is None
    assert producer.cancelled()
    client.close()


def test_a_producer_that_is_lost_is_told(edge, producer):
    client, _ = watch(edge, producer)
    assert event(client)[0] == "event: error"  # after 15 s of silence
    assert event(client) is None
    client.close()


def test_sigterm_ends_streams_well():
    edge = Edge()
    try:
        edge.start()
        producer = Producer(edge.nats_url)
        client, _ = watch(edge, producer)
        edge.gateway.send_signal(signal.SIGTERM)
        assert event(client) is None
        assert producer.cancelled()
        assert edge.gateway.wait(20) == 0
    finally:
        edge.stop()


def test_there_is_a_largest_number():
    edge = Edge({"GATEWAY_MAX_EVENT_STREAMS": "1"})
    try:
        edge.start()
        producer = Producer(edge.nats_url)
        client, _ = watch(edge, producer)
        assert edge.ask("GET /watch/x HTTP/1.1").status == 503
        client.close()
    finally:
        edge.stop()


def test_each_caller_has_a_share():
    """Of an address two, and two more of a user, wherever he asks from; what ends is free again."""
    edge = Edge({"GATEWAY_EVENT_STREAMS_PER_CALLER": "2"})
    mine = f"GET /mine/x HTTP/1.1\r\nAuthorization: Bearer {token()}"
    try:
        edge.start()
        producer = Producer(edge.nats_url)
        clients = [watch(edge, producer)[0] for _ in range(2)]
        refused = edge.ask("GET /watch/x HTTP/1.1")
        assert refused.status == 429 and refused.headers["retry-after"] == "1", refused.head
        assert refused.headers["content-type"] == "application/problem+json"
        clients += [watch(edge, producer, mine)[0] for _ in range(2)]
        assert edge.ask(mine).status == 429
        clients.pop(0).close()
        poll(lambda: edge.metric("atrium_event_streams") == 3, PATIENCE)
        clients.append(watch(edge, producer)[0])
        assert edge.ask("GET /watch/x HTTP/1.1").status == 429
        for client in clients:
            client.close()
        poll(lambda: edge.metric("atrium_event_streams") == 0, PATIENCE)
    finally:
        edge.stop()
