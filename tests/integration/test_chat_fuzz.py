"""Clients of chat's gateway that do anything: sequences of frames good, bad and broken, at random, with a model of what may
come back. The stack must stay whole for everybody else. CHAT_FUZZ_S seconds (10); with the seed that is printed and
CHAT_FUZZ_SEED a run can be had again. ATRIUM_BUILD=build/asan makes sanitizers watch."""
import base64
import json
import os
import random
import select
import socket
import struct
import time
from urllib.parse import urlsplit

import pytest

from api import Api
from chat_api import Person
from stack import Stack

pytestmark = pytest.mark.local
SECONDS = float(os.environ.get("CHAT_FUZZ_S", "10"))
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
# What a close may say: the protocol's own codes, chat's, and 1006 for none.
CODES = {1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1011, 1012, 4000, 4001, 4002, 4003, 4004, 4008, 4009, 4010}
WORDS = ["op", "d", "s", "t", "token", "session_id", "seq", "status", "online", "invisible", "\u0000", "é" * 40, ""]


@pytest.fixture(scope="module")
def own():
    stack = Stack(gateways=2)
    try:
        yield stack.up()
    finally:
        stack.destroy()  # fails when a sanitizer has said anything


class Raw:
    """A socket on which anything can be written; reads what comes."""

    def __init__(self, url):
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=10)
        key = base64.b64encode(random.randbytes(16)).decode()
        self.socket.sendall((f"GET /gateway HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        self.bytes = b""
        while b"\r\n\r\n" not in self.bytes:
            self.bytes += self.socket.recv(65536)
        head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.frames, self.code, self.ended = [], None, False

    def write(self, opcode, payload, fin=True, mask=True, reserved=0):
        head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
        bit = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack("!H", len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
        if mask:
            key = random.randbytes(4)
            payload = key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        self.raw(head + payload)

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            self.ended = True

    def read(self, seconds=0.0):
        until = time.monotonic() + seconds
        while not self.ended and select.select([self.socket], [], [], max(until - time.monotonic(), 0))[0]:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            self.ended = not data
            self.bytes += data
            while self.take():
                pass

    def take(self):
        if len(self.bytes) < 2:
            return False
        size, at = self.bytes[1] & 0x7f, 2
        if size == 126:
            size, at = int.from_bytes(self.bytes[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(self.bytes[2:10], "big"), 10
        if len(self.bytes) < at + size:
            return False
        opcode, payload = self.bytes[0] & 15, self.bytes[at:at + size]
        assert not self.bytes[1] & 0x80, "a server masks nothing"
        self.bytes = self.bytes[at + size:]
        if opcode == CLOSE:
            self.code = int.from_bytes(payload[:2], "big") if payload else 1006
            assert self.code in CODES, (self.code, payload)
        elif opcode == TEXT:
            self.frames.append(json.loads(payload))  # always JSON, always UTF-8
        else:
            assert opcode in (PING, PONG), opcode
        return True

    def close(self):
        self.socket.close()


def anything(rng, depth=0):
    kind = rng.randrange(9 if depth < 4 else 5)
    if kind == 0:
        return rng.choice([None, True, False])
    if kind == 1:
        return rng.choice([0, 1, 2, -1, 6, 7, 10, 11, 2 ** 31, 2 ** 53, -2 ** 63, 2 ** 64, 1.5])
    if kind < 5:
        return rng.choice(WORDS)
    if kind < 7:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS): anything(rng, depth + 1) for _ in range(rng.randrange(4))}


def some_frame(rng, person, session):
    """Mostly what a client might say, with something wrong in it."""
    token = rng.choice([person.token, person.token, person.token, person.token[:-1], "", "x" * 3000, None, 7])
    good = [
        {"op": 1, "d": rng.choice([None, 0, 5, -1, "x"])},
        {"op": 2, "d": {"token": token}},
        {"op": 3, "d": {"status": rng.choice(["online", "idle", "dnd", "invisible", "away", None, 3])}},
        {"op": 6, "d": {"token": token, "session_id": rng.choice([session, session, "", "a.b", None]),
                        "seq": rng.choice([0, 1, 5, 10 ** 6, -1, None, 2 ** 63 - 1, "1"])}},
        {"op": rng.choice([0, 4, 7, 8, 9, 10, 11, 12, 99, -1]), "d": anything(rng)},
        anything(rng),
    ]
    text = json.dumps(rng.choice(good), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        cut = rng.randrange(len(text) + 1)
        text = text[:cut] + rng.randbytes(rng.randrange(4)) + text[cut + rng.randrange(3):]
    if rng.random() < 0.05:
        text = rng.choice([b"[" * 4000, b"x" * 5000, b"", b'{"op":' * 600, b"\xff\xfe", b'"' + b"\\u0000" * 500 + b'"'])
    return text


def write_somehow(rng, raw, text):
    way = rng.randrange(12)
    if way == 0 and len(text) > 2:  # in fragments, with a ping between
        cut = rng.randrange(1, len(text))
        raw.write(TEXT, text[:cut], fin=False)
        raw.write(PING, b"between")
        raw.write(CONTINUATION, text[cut:])
    elif way == 1:
        raw.write(BINARY, text)
    elif way == 2:
        raw.write(rng.choice([PING, PONG]), rng.randbytes(rng.choice([0, 5, 125, 130])))
    elif way == 3:
        raw.write(rng.choice([3, 7, 11, 15, CONTINUATION]), text)
    elif way == 4:
        raw.write(TEXT, text, mask=False)
    elif way == 5:
        raw.write(TEXT, text, reserved=rng.randrange(1, 8))
    elif way == 6:
        raw.raw(rng.randbytes(rng.randrange(1, 40)))
    elif way == 7:
        raw.write(CLOSE, rng.choice([b"", b"\x03", b"\x03\xe8bye", b"\x00\x00", b"\x03\xe8\xff\xff"]))
    else:
        raw.write(TEXT, text)


def judge(raw, person):
    """What may be said to this client: its own session's frames, in the order of the protocol."""
    assert raw.frames[:1] in ([], [{"op": 10, "d": {"heartbeat_interval": 41250}}]), raw.frames[:1]
    begun = False
    for frame in raw.frames[1:]:
        assert frame["op"] in (0, 7, 11), frame
        if frame["op"] == 0:
            assert isinstance(frame["s"], int) and isinstance(frame["d"], dict), frame
            begun = begun or frame["t"] in ("READY", "RESUMED")
            if frame["t"] == "READY":
                assert frame["d"]["user_id"] == person.id


def test_anything_said_breaks_nothing(own, clients):
    seed = int(os.environ.get("CHAT_FUZZ_SEED", random.SystemRandom().randrange(2 ** 32)))
    rng = random.Random(seed)
    random.seed(seed)
    print(f"CHAT_FUZZ_SEED={seed}")
    people = [Person(Api(own.url)) for _ in range(3)]
    witness = clients.connect(own.url, people[0].token)
    dm = people[0].dm(people[1])
    sessions = {person.id: [witness.session] for person in people}  # to resume: the witness's, and what was left behind
    for person in people[1:]:  # one of his own, that he has left
        sessions[person.id].append(clients.connect(own.url, person.token).session)
    until, said, sockets, codes, resumed = time.monotonic() + SECONDS, 0, 0, {}, 0
    while time.monotonic() < until:
        person = rng.choice(people)
        raw = Raw(rng.choice([own.url, own.url2]))
        sockets += 1
        session = rng.choice(sessions[person.id][-5:])
        way = rng.random()
        if way < 0.5:
            raw.write(TEXT, json.dumps({"op": 2, "d": {"token": person.token}}).encode())
            raw.read(rng.choice([0, 0.05]))
        elif way < 0.7:
            raw.write(TEXT, json.dumps({"op": 6, "d": {"token": person.token, "session_id": session,
                                                       "seq": rng.choice([1, 1, 1, 2, 50])}}).encode())
            raw.read(rng.choice([0, 0.05]))
        for _ in range(rng.randrange(12)):
            write_somehow(rng, raw, some_frame(rng, person, session))
            said += 1
            raw.read(rng.choice([0, 0, 0.02]))
        raw.read(0.05)
        judge(raw, person)
        told = {frame["t"]: frame["d"] for frame in raw.frames if frame["op"] == 0}
        resumed += "RESUMED" in told
        if "READY" in told:
            sessions[person.id].append(told["READY"]["session_id"])
        codes[raw.code] = codes.get(raw.code, 0) + 1
        raw.close()
    print(f"{said} frames on {sockets} sockets, {resumed} resumed; closed with {codes}")
    assert sockets > SECONDS and len(codes) > 3
    assert resumed or SECONDS < 60
    # Everybody else has noticed nothing.
    since = witness.mark()
    message = people[1].say(dm, "still there?")
    witness.wait_event("MESSAGE_CREATE", since, id=message["id"])
    assert witness.code is None
    assert {row["state"] for row in own.status().values() if "state" in row} <= {"up", "running", "ready"}
