"""WebSockets by a client of somebody else (python3-websockets), who knows RFC 6455 better than our own tests' client, and
what many connections that say nothing cost."""
import asyncio
import os
import resource
import socket

import pytest
import websockets

from polling import poll
from realtime import Realtime, token_of

pytestmark = pytest.mark.local
IDLE = int(os.environ.get("WEBSOCKETS_IDLE", "500"))
IDLE_EACH_BYTES = 12 * 1024 # of the gateway's memory; 5,000 of them are to fit into 80 MB, the gateway itself included


@pytest.fixture(scope="module")
def world():
    own = Realtime(gateways=1, settings={"GATEWAY_SOCKETS_PER_ADDRESS": "10000", "GATEWAY_SOCKET_PING": "1s"})
    try:
        yield own.start()
    finally:
        own.stop()


def run(world, script, path="/echo", **options):
    async def whole():
        uri = f"ws://127.0.0.1:{world.ports[0]}{path}"
        async with websockets.connect(uri, open_timeout=30, close_timeout=30, **options) as ws:
            assert '"READY"' in await ws.recv()
            return await script(ws)
    return asyncio.run(asyncio.wait_for(whole(), 60))


def closed_with(world, script):
    async def until_closed(ws):
        await script(ws)
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            while True:
                await ws.recv()
        return closed.value.rcvd.code if closed.value.rcvd else 1006
    return run(world, until_closed)


def test_texts_fragments_and_pings(world):
    async def script(ws):
        assert ws.extensions == [] # compression was offered, and is not taken
        for text in ("plain", "ünïcödé ☃ 𝄞", "x" * 60000):
            await ws.send(text)
            assert f'"text":"{text}"' in await ws.recv()
        await ws.send(["in ", "", "three ", "pieces"])
        assert '"text":"in three pieces"' in await ws.recv()
        await asyncio.wait_for(await ws.ping(b"are you there"), 10)
    run(world, script)


def test_compression_is_never_agreed_on(world):
    async def script(ws):
        return ws.response_headers.get("Sec-WebSocket-Extensions"), ws.subprotocol
    assert run(world, script, compression="deflate", subprotocols=["chat", "superchat"]) == (None, None)


def test_too_long_a_message_is_told(world):
    async def script(ws):
        await ws.send("x" * 65537)
    assert closed_with(world, script) == 1009


def test_the_library_closes_as_it_likes(world):
    for code, reason in ((1000, ""), (1001, "going"), (4321, "ö" * 40)):
        async def script(ws, code=code, reason=reason):
            await ws.close(code, reason)
            return ws.close_code, ws.close_reason
        assert run(world, script) == (code, reason)


def test_credentials_of_the_handshake(world):
    async def script(ws):
        await ws.send("!who")
        return await ws.recv()
    said = run(world, script, extra_headers={"Authorization": "Bearer " + token_of(77)})
    assert '77' in said, said


def test_many_talk_at_a_time(world):
    """None gets what is another's."""
    async def one(number):
        uri = f"ws://127.0.0.1:{world.ports[0]}/echo"
        async with websockets.connect(uri, open_timeout=60, compression=None) as ws:
            await ws.recv()
            for i in range(20):
                await ws.send(f"{number} says {i}")
                assert f'"text":"{number} says {i}"' in await ws.recv()

    async def all_of_them():
        await asyncio.gather(*(one(number) for number in range(50)))
    asyncio.run(asyncio.wait_for(all_of_them(), 120))


def test_who_is_pinged_and_answers_stays(world):
    """GATEWAY_SOCKET_PING is a second here; the library answers by itself, while its user says nothing."""
    async def script(ws):
        before = world.metric("atrium_socket_frames_total")
        while world.metric("atrium_socket_frames_total") < before + 3:
            await asyncio.sleep(0.05)
        await ws.send("still here")
        assert '"text":"still here"' in await ws.recv()
    run(world, script)


def hold(world):
    """A connection, with as little as can be on our side."""
    held = socket.create_connection(("127.0.0.1", world.ports[0]), timeout=30)
    held.sendall(b"GET /echo HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    got = b""
    while b"READY" not in got:
        more = held.recv(4096)
        assert more, got
        got += more
    return held


def resident_bytes(world):
    with open(f"/proc/{world.processes['gateway0'].pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


@pytest.mark.skipif("asan" in os.environ.get("ATRIUM_BUILD", ""), reason="sanitizers have memory of their own")
def test_who_says_nothing_costs_little(world):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = resident_bytes(world)
    sockets = [hold(world) for _ in range(IDLE)]
    poll(lambda: world.metric("atrium_sockets") >= IDLE)
    each = (resident_bytes(world) - before) / IDLE
    print(f"{IDLE} idle connections: {each / 1024:.1f} KiB each, {resident_bytes(world) / 1e6:.1f} MB in all")
    assert each < IDLE_EACH_BYTES
    for held in sockets:
        held.close()
