"""Live connections, by a service that says what it hears (tests/realtime): everything that a domain builds on, and what
holds when gateways and the bus die."""
import json
import random
import signal
import socket
import threading
import time

import pytest

from nats_client import Nats
from polling import PATIENCE, SOON_S, poll
from realtime import Realtime, token_of
from sockets import Refused, WebSocket

pytestmark = pytest.mark.local
WAITS_S = 1.9  # nearly as long as an answer waits for a mark that does not come


@pytest.fixture(scope="module")
def world():
    own = Realtime()
    try:
        yield own.start()
    finally:
        own.stop()


def said(ws, count=1, seconds=SOON_S):
    """The texts of the next dispatches."""
    return [ws.next("SAID", seconds)["d"]["text"] for _ in range(count)]


def missed(ws):
    """What came before RESUMED."""
    return [m["d"]["text"] for m in ws.messages if m["t"] == "SAID"]


def test_a_message_comes_back_and_a_position_with_it(world):
    with world.open() as ws:
        ws.send("héllo \"there\"\n")
        assert ws.next() == {"t": "ECHO", "s": ws.ready["s"], "d": {"text": "héllo \"there\"\n"}}
        at = world.say("nobody.follows.this")
        poll(lambda: world.metric("atrium_ring_lag_seconds") >= 0)
        ws.send("again")
        assert ws.next("ECHO")["s"] >= at


def test_who_follows_a_topic_hears_it_on_every_gateway(world):
    with world.open(0, "a,b") as one, world.open(1, "b,c") as two:
        numbers = [world.say(topic, f"to {topic}", i) for i, topic in enumerate(["a", "b"])] + [world.say("c", "to c")]
        assert [one.next()["d"]["text"] for _ in range(2)] == ["to a", "to b"]
        assert [two.next()["s"] for _ in range(2)] == numbers[1:]
        one.send("!leave a")
        one.next("LEFT")
        world.say("a", "unheard")
        world.say("b", "heard")
        assert said(one) == ["heard"]
        one.send("!join a.x a.y")
        one.next("JOINED")
        world.say("a.y", "below")
        assert said(one) == ["below"]
        one.send("!leave a")
        one.next("LEFT")
        world.say("a.y", "unheard")
        world.say("b", "last")
        assert said(one) == ["last"]


def test_a_state_travels_and_a_timer_comes_once(world):
    with world.open() as ws:
        ws.send("!state abc")
        assert ws.next("STATE")["d"].get("text", "") == ""
        ws.send("!state")
        assert ws.next("STATE")["d"]["text"] == "abc"
        ws.send("!wake 50")
        ws.next("TIMER")
        ws.send("!wake 600000")
        ws.send("!wake 0")
        ws.send("still here")
        assert ws.next()["t"] == "ECHO"


def test_a_close_is_told_with_the_last_number_that_was_written(world):
    with world.open(1, "closed") as other:
        with world.open(0, "t", user=7) as ws:
            ws.send("!who")
            user, connection = ws.next("WHO")["d"]["text"].split()
            assert user == "7"
            at = world.say("t", "seen")
            assert ws.next("SAID")["s"] == at
            ws.send("!close 4001 enough")
            assert ws.until_closed() == 4001
        # The service said so itself; who goes without a word is told of as well.
        with world.open(0, "t", user=7) as ws:
            ws.send("!who")
            connection = ws.next("WHO")["d"]["text"].split()[1]
            at = world.say("t", "seen")
            assert ws.next("SAID")["s"] == at
        while (text := other.next("CLOSED")["d"]["text"].split())[0] != connection:
            pass
        assert text[1:] == ["1006", str(at)]


def test_a_token_in_a_message_says_who_it_is(world):
    with world.open(0, "u.9") as ws:
        ws.send("!who")
        assert ws.next("WHO")["d"]["text"].startswith("0 ")
        ws.send("!auth no.such.token")
        assert ws.next("AUTH")["d"]["text"] == "refused 0"
        ws.send(f"!auth {token_of(9)}")
        assert ws.next("AUTH")["d"]["text"] == "verified 9"
        ws.send("!who")
        assert ws.next("WHO")["d"]["text"].startswith("9 ")


def test_a_stream_is_attached_beside_what_else_is_said(world):
    with world.open(0, "t") as ws:
        ws.send("!attach one 5 0")
        assert [ws.next("COUNT")["d"]["number"] for _ in range(5)] == [1, 2, 3, 4, 5]
        assert ws.next("ENDED")["d"]["text"] == "one"
        ws.send("!attach two 100000 5")
        ws.next("COUNT")
        world.say("t", "meanwhile")
        assert said(ws) == ["meanwhile"]
        ws.send("!cancel two")
        ws.next("CANCELLED")
        ws.send("end")
        ws.next("ECHO")
        seen = len(ws.messages)
        ws.send("quiet?")
        ws.next("ECHO")
        assert [m["t"] for m in ws.messages[seen:]] == ["ECHO"]


def test_changes_of_audience_are_in_order_with_what_is_said(world):
    with world.open(0, "g.1", user=1) as one, world.open(1, "g.1", user=2) as two:
        # Both follow nothing else until a dispatch says so; it reaches who it lets in, and not who it lets out.
        for ws in (one, two):
            ws.send("!join u.x")
            ws.next("JOINED")
        world.say("g.1.c.1", "before")
        world.say("g.1.c.1", "welcome one", users=[1], join=["g.1.c.1"])
        world.say("g.1.c.1", "second")
        world.say("g.1.c.1", "without one", users=[1], leave=["g.1"])
        world.say("g.1", "to all")
        world.say("u.x", "end")
        assert said(one, 3) == ["welcome one", "second", "end"]
        assert said(two, 2) == ["to all", "end"]


def test_a_permission_that_changes_all_the_time_lets_nothing_slip(world):
    """What is said while it holds comes, and nothing else; the stream itself says which was when."""
    with world.open(0, "u.5", user=5) as here, world.open(1, "u.5", user=5) as there:
        expected, holds = [], False
        for i in range(300):
            if i % 3 == 0:
                holds = not holds
                world.say("elsewhere", "", i % 2, users=[5], **({"join": ["secret"]} if holds else {"leave": ["secret"]}))
            world.say("secret", str(i), i % 2)
            if holds:
                expected.append(str(i))
        world.say("u.5", "end")
        for ws in (here, there):
            assert said(ws, len(expected) + 1) == expected + ["end"]


def test_an_answer_comes_after_what_it_is_about(world):
    with world.open(0, "t", user=3) as ws:
        for i in range(20):
            at = world.say("t", "first", mark=f"m{i}", after=f"m{i}", user=3)
            # Nothing is waited for any more: it is here, or at least in the kernel's hands.
            assert ws.next("SAID", seconds=0.5)["s"] == at
        # Without a socket of the caller's, and without need, nobody waits.
        begun = time.monotonic()
        world.say("t", "x", after="never", user=4)
        assert time.monotonic() - begun < WAITS_S
        # A mark that never comes is waited for, but not for ever.
        begun = time.monotonic()
        world.say("t", "x", after="never", user=3)
        assert WAITS_S <= time.monotonic() - begun < 2 * PATIENCE


def test_an_answer_waits_for_a_mark_of_the_callers_socket(world):
    done = []
    with world.open(0, "u.6", user=6) as ws:
        begun = time.monotonic()

        def say():
            world.say("t", after="user:primed", user=6)
            done.append(time.monotonic() - begun)

        thread = threading.Thread(target=say)
        thread.start()
        ws.send("!nap 300")
        ws.next("NAPPED")
        assert not done
        ws.send("!mark primed")
        ws.next("MARKED")
        thread.join(SOON_S)
        assert done and done[0] < WAITS_S
        begun = time.monotonic()
        world.say("t", after="user:primed", user=6)  # has it already
        assert time.monotonic() - begun < WAITS_S


def test_who_leaves_while_an_answer_waits_is_forgotten(world):
    with world.open(1, "u.8", user=8):
        for _ in range(5):
            body = b'{"topic":"t","after":"never"}'
            with socket.create_connection(("127.0.0.1", world.ports[1])) as client:
                client.sendall(b"POST /echo/say HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                               b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
                               % (token_of(8).encode(), len(body), body))
                poll(lambda: world.metric("atrium_ring_held_answers", 1) > 0)
        poll(lambda: world.metric("atrium_ring_held_answers", 1) == 0)
        # One that waits when the gateway stops is told.
        done = []
        thread = threading.Thread(target=lambda: done.append(world.say("t", i=1, after="never", user=8)))
        thread.start()
        poll(lambda: world.metric("atrium_ring_held_answers", 1) > 0)
        assert world.kill("gateway1", signal.SIGTERM) == 0
        thread.join(timeout=10)
        assert done
    world.start_gateway(1)


def test_a_resume_gets_what_was_missed_in_order_and_nothing_twice(world):
    with world.open(0, "a,b,c") as ws:
        for i in range(10):
            world.say("abc"[i % 3], str(i))
        last = [ws.next("SAID") for _ in range(5)][-1]["s"]
    for i in range(10, 20):
        world.say("abc"[i % 3], str(i))
    with world.open(1, "a,b,c", query=f"&from={last}&epoch={ws.epoch}") as ws:
        assert ws.ready["t"] == "RESUMED"
        assert missed(ws) == [str(i) for i in range(5, 20)]
    # Another epoch is another count: it begins afresh.
    with world.open(1, "a", query=f"&from={last}&epoch=1") as ws:
        assert ws.ready["t"] == "READY"


def test_a_gap_in_which_ones_audience_changed_is_not_filled_in(world):
    """What was said before he was let in is not for him, and what came after he was let out he does not miss."""
    with world.open(0, "u.11,h", user=11) as ws:
        at = ws.ready["s"]
    world.say("h", "secret")
    world.say("u.11", "", users=[11], join=["h"])
    with world.open(1, "u.11,h", user=11, query=f"&from={at}&epoch={ws.epoch}") as again:
        assert again.ready["t"] == "READY" and not missed(again)
    with world.open(0, "u.12,h", user=12, query=f"&from={at}&epoch={ws.epoch}") as other:
        assert other.ready["t"] == "RESUMED" and missed(other) == ["secret"]
    world.say("h", "now")
    with world.open(1, "u.11,h", user=11, query=f"&from={again.ready['s']}&epoch={ws.epoch}") as again:
        assert again.ready["t"] == "RESUMED" and missed(again) == ["now"]


def test_a_slow_reader_is_closed_and_disturbs_nobody(world):
    slow = world.open(0, "flood", path="/echo-briefly", receive_bytes=4096)
    with world.open(0, "flood") as quick:
        sayer = threading.Thread(target=lambda: world.say("flood", "x" * 4096, times=2000))
        sayer.start()
        numbers = [quick.next("SAID")["s"] for _ in range(2000)]
        assert numbers == sorted(numbers)
        sayer.join()
        assert slow.until_closed(30) in (4009, 1006)
    slow.cut()
    poll(lambda: world.metric("atrium_socket_ends_total") > 0)


def test_who_missed_more_than_a_queue_holds_gets_it_all(world):
    with world.open(1, "long") as ws:
        at = ws.ready["s"]
    world.say("long", "y" * 4096, times=1500)
    begun = world.say("long", "begin")
    with WebSocket(world.ports[1], f"/echo?topics=long&from={at}&epoch={ws.epoch}") as again:
        world.say("long", "end")
        seen = []
        while not seen or seen[-1]["d"]["text"] != "end":
            seen.append(again.next("SAID"))
        numbers = [message["s"] for message in seen]
        assert len(seen) == 1502 and numbers == sorted(set(numbers)) and begun in numbers
        again.send("and on")
        again.next("ECHO")


def test_too_many_messages_close(world):
    with world.open(0, path="/echo-briefly") as ws:
        for i in range(15):
            ws.send(str(i))
        assert ws.until_closed() == 4008


class Follower(threading.Thread):
    """A client as clients are: reads, and resumes somewhere when it is cut off. Notes all that it has seen."""

    def __init__(self, world, i, user):
        super().__init__(daemon=True)
        self.world, self.i, self.user = world, i, user
        self.seen, self.fresh, self.resumed, self.done = [], 0, 0, False
        self.last, self.epoch = None, None
        self.ws = None
        self.started = threading.Event()

    def run(self):
        while not self.done:
            query = f"&from={self.last}&epoch={self.epoch}" if self.last is not None else ""
            try:
                self.ws = WebSocket(self.world.ports[self.i], f"/echo?topics=t,u.{self.user}{query}")
            except (OSError, Refused):
                self.i = (self.i + 1) % len(self.world.ports)
                time.sleep(0.02)
                continue
            while (message := self.ws.next(seconds=1)) is not None or (not self.ws.closed and not self.done):
                if message is None:
                    continue
                if message["t"] == "READY":
                    self.fresh += 1
                    self.epoch = message["d"]["text"]
                self.resumed += message["t"] == "RESUMED"
                self.last = message.get("s", self.last)
                if message["t"] == "SAID":
                    self.seen.append(message["d"]["text"])
                    if message["d"]["text"] == "end":
                        self.done = True
                self.started.set()
            self.ws.cut()


class Sayer(threading.Thread):
    """Says numbers on one topic, as fast as they are taken, and notes which were."""

    def __init__(self, world, i):
        super().__init__(daemon=True)
        self.world, self.i, self.stop, self.sure, self.perhaps = world, i, False, [], set()

    def run(self):
        number = 0
        while not self.stop:
            number += 1
            try:
                self.world.say("t", str(number), self.i)
                self.sure.append(str(number))
            except OSError:
                self.perhaps.add(str(number)) # it may have been said
                time.sleep(0.02)


def everyone_saw_all_once(followers, sayer):
    for follower in followers:
        follower.join(timeout=60)
        assert follower.done, f"{follower.fresh} fresh, {follower.resumed} resumed, {follower.seen[-3:]}"
    # What nobody answered for is said or not, but the same to all.
    expected = followers[0].seen
    assert [text for text in expected[:-1] if text not in sayer.perhaps] == sayer.sure
    for follower in followers:
        assert follower.fresh == 1, "it had to begin afresh"
        assert follower.seen == expected


@pytest.mark.parametrize("how", ["gateway killed", "gateway stopped", "nats-server restarted", "service killed"])
def test_nobody_misses_or_repeats_anything_when(world, how):
    followers = [Follower(world, 0, n) for n in range(20)] + [Follower(world, 1, n) for n in range(20, 25)]
    sayer = Sayer(world, 1)
    for follower in followers:
        follower.start()
    for follower in followers:
        assert follower.started.wait(20)
    sayer.start()
    poll(lambda: len(sayer.sure) > 100)
    if how == "gateway killed":
        world.kill("gateway0")
        poll(lambda: all(f.resumed for f in followers[:20]))
        world.start_gateway(0)
    elif how == "gateway stopped":
        assert world.kill("gateway0", signal.SIGTERM) == 0
        world.start_gateway(0)
    elif how == "nats-server restarted":
        world.kill("nats", signal.SIGKILL)
        world.start_nats()
        poll(lambda: world.ready(0) and world.ready(1))
    else:
        world.kill("echo")
        world.start_echo()
    count = len(sayer.sure)
    poll(lambda: len(sayer.sure) > count + 100)
    sayer.stop = True
    sayer.join()
    world.say("t", "end", 1)
    everyone_saw_all_once(followers, sayer)
    if how == "nats-server restarted": # sockets do not notice
        assert not any(f.resumed for f in followers)


def ask_stream(world, what, body=b""):
    with Nats(world.nats_url, "ops") as bus:
        answer = bus.request(f"$JS.API.{what}", body).json()
    assert "error" not in answer, answer
    return answer


def test_a_consumer_that_the_server_forgot_is_made_again(world):
    with world.open(0, "t") as one, world.open(1, "t") as two:
        for name in ask_stream(world, "CONSUMER.NAMES.DSP_ECHO")["consumers"]:
            ask_stream(world, f"CONSUMER.DELETE.DSP_ECHO.{name}")
        numbers = [world.say("t", str(i)) for i in range(10)]
        for ws in (one, two):
            assert [ws.next("SAID", 2 * PATIENCE)["s"] for _ in range(10)] == numbers
    poll(lambda: world.ready(0) and world.ready(1))


def test_numbers_that_jump_end_who_may_have_missed_something(world):
    with world.open(0, "t") as ws:
        at = world.say("t", "seen")
        assert ws.next("SAID")["s"] == at
        ask_stream(world, "STREAM.PURGE.DSP_ECHO", b'{"seq": %d}' % (at + 1000))
        beyond = world.say("t", "after")
        assert beyond >= at + 999
        assert ws.until_closed() == 1012
        assert not any(m["d"].get("text") == "after" for m in ws.messages if m["t"] == "SAID")
    with world.open(0, "t", query=f"&from={at}&epoch={ws.epoch}") as ws:
        assert ws.ready["t"] == "READY" and ws.ready["s"] >= beyond


def test_another_stream_is_another_epoch(world):
    with world.open(0, "t") as ws:
        at, epoch = world.say("t", "seen"), ws.epoch
        ws.next("SAID")
        config = ask_stream(world, "STREAM.INFO.DSP_ECHO")["config"]
        ask_stream(world, "STREAM.DELETE.DSP_ECHO")
        ask_stream(world, "STREAM.CREATE.DSP_ECHO", json.dumps(config).encode())
        assert ws.until_closed(5 * PATIENCE) == 1012
    poll(lambda: world.ready(0) and world.ready(1), seconds=5 * PATIENCE)
    with world.open(0, "t", query=f"&from={at}&epoch={epoch}") as ws:
        assert ws.ready["t"] == "READY" and ws.epoch != epoch and ws.ready["s"] < at
        assert ws.ready["s"] < world.say("t", "first") == ws.next("SAID")["s"] < at


def test_a_gateway_that_stops_says_farewell(world):
    with world.open(0, "t") as ws:
        world.processes["gateway0"].terminate()
        assert ws.next("FAREWELL")
        assert ws.until_closed() == 1001
        world.processes["gateway0"].wait(timeout=30)
    world.start_gateway(0)


def test_a_gateway_that_begins_knows_what_was_said_before(world):
    with world.open(1, "t") as ws:
        at = ws.ready["s"]
        for i in range(50):
            world.say("t", str(i), 1)
        assert said(ws, 50) == [str(i) for i in range(50)]
    world.kill("gateway0")
    world.start_gateway(0)
    with world.open(0, "t", query=f"&from={at}&epoch={ws.epoch}") as ws:
        assert missed(ws) == [str(i) for i in range(50)]
    poll(lambda: world.metric("atrium_ring_entries") >= 50)


def test_at_random_everyone_resumes_all_the_time(world):
    """Clients that cut their connections at random places, while much is said on many topics."""
    rng = random.Random(6)
    topics = [f"r.{i}" for i in range(5)]
    done, errors = threading.Event(), []

    def say_all():
        for i in range(600):
            world.say(topics[i % 5], str(i), i % 2)
        done.set()

    def follow(seed):
        own = random.Random(seed)
        seen, last, epoch = [], None, None
        try:
            while not (done.is_set() and seen and seen[-1] == 599):
                query = f"&from={last}&epoch={epoch}" if last is not None else ""
                with world.open(own.randrange(2), ",".join(topics), query=query) as ws:
                    epoch = epoch or ws.epoch
                    last = ws.ready["s"]
                    seen += [int(text) for text in missed(ws)]
                    for _ in range(own.randrange(40)):
                        message = ws.next(seconds=0.5)
                        if message is None:
                            break
                        last = message["s"]
                        if message["t"] == "SAID":
                            seen.append(int(message["d"]["text"]))
            assert seen == list(range(seen[0], 600)), seen
        except AssertionError as e:
            errors.append(e)

    threads = [threading.Thread(target=follow, args=(rng.random(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    say_all()
    for thread in threads:
        thread.join(timeout=60)
    assert not errors, errors[0]
