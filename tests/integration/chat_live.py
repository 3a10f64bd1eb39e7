"""Clients of the gateway protocol, many at a time: all in one thread of their own, what they see is kept as it came."""
import asyncio
import concurrent.futures
import json
import threading
import urllib.parse

import websockets

TIMEOUT_S = 30
EVENT, HEARTBEAT, IDENTIFY, PRESENCE, RESUME, RECONNECT, HELLO, ACK = 0, 1, 2, 3, 6, 7, 10, 11


class Clients:
    """The thread and its loop. Use as a context manager: closes what is still open."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.changed = threading.Condition()
        self.all = []
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        for client in self.all:
            client.stop()
        self.run(self._end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    async def _end_tasks(self):
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def run(self, coroutine, timeout=TIMEOUT_S):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def connect(self, url, token=None, **options):
        """A client that has its HELLO, and with a token its READY."""
        client = Client(self, url, **options)
        client.open()
        if token:
            client.identify(token)
            client.wait_event("READY")
        return client

    def wait(self, condition, timeout=TIMEOUT_S, what="clients"):
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise AssertionError(f"not within {timeout} s: {what}")


class Client:
    """One client, over as many sockets as it takes. `frames` are all it ever got, `events` those of op 0."""

    def __init__(self, clients, url, host=None):
        self.clients = clients
        self.host = host  # as its name is known to the client; the address stays
        self.url = self.socket_url(url)
        self.socket = None
        self.reader = None
        self.frames, self.events = [], []
        self.seq = self.session = None
        self.code = None  # of the last close
        clients.all.append(self)

    def socket_url(self, url):
        return url.replace("http", "ws", 1) + "/gateway"

    # --- in the clients' thread
    async def _open(self, url):
        address = urllib.parse.urlsplit(url)
        self.code = None
        self.socket = await websockets.connect(
            url.replace(address.hostname, self.host) if self.host else url, host=address.hostname, port=address.port,
            ping_interval=None, max_size=None, open_timeout=TIMEOUT_S, close_timeout=1)
        self.reader = asyncio.ensure_future(self._read(self.socket))

    async def _read(self, socket):
        try:
            async for text in socket:
                self._take(json.loads(text))
        except websockets.ConnectionClosed:
            pass
        with self.clients.changed:
            if socket is self.socket:
                self.code = socket.close_code
            self.clients.changed.notify_all()

    def _take(self, frame):
        with self.clients.changed:
            self.frames.append(frame)
            if frame["op"] == EVENT:
                self.seq = frame["s"]
                self.events.append((frame["t"], frame["d"]))
                if frame["t"] == "READY":
                    self.session = frame["d"]["session_id"]
            self.clients.changed.notify_all()

    # --- in the test's
    def open(self, url=None):
        seen = len(self.frames)
        self.clients.run(self._open(self.socket_url(url) if url else self.url))
        self.wait(lambda: self.frames[seen:] and self.frames[seen]["op"] == HELLO, what="HELLO")

    def send(self, frame):
        text = frame if isinstance(frame, (str, bytes)) else json.dumps(frame)
        self.clients.run(self.socket.send(text))

    def identify(self, token):
        self.send({"op": IDENTIFY, "d": {"token": token}})

    def resume(self, token, **changed):
        self.send({"op": RESUME, "d": {"token": token, "session_id": self.session, "seq": self.seq, **changed}})

    def cut(self):
        """Without a word, as when the network goes."""
        self.clients.loop.call_soon_threadsafe(self.socket.transport.abort)
        self.wait(lambda: self.code is not None, what="the socket is gone")

    def close(self):
        self.clients.run(self.socket.close())

    def stop(self):
        if self.socket and self.socket.open:
            try:
                self.clients.run(self.socket.close(), 2)
            except (concurrent.futures.TimeoutError, OSError, websockets.ConnectionClosed):
                pass  # the server is gone

    # --- what it saw
    def wait(self, condition, timeout=TIMEOUT_S, what="frames"):
        try:
            self.clients.wait(condition, timeout, what)
        except AssertionError as e:
            raise AssertionError(f"{e}: {self.frames[-8:]}, closed: {self.code}") from None

    def of(self, name):
        return [data for event, data in self.events if event == name]

    def mark(self):
        """From here on: what an event is looked for in."""
        return len(self.events)

    def wait_event(self, name, since=0, timeout=TIMEOUT_S, **members):
        """The first such event after the mark."""
        found = []

        def look():
            found[:] = [data for event, data in self.events[since:]
                        if event == name and all(data.get(k) == v for k, v in members.items())]
            return found

        self.wait(look, timeout, f"{name} {members}")
        return found[0]

    def wait_close(self, timeout=TIMEOUT_S):
        self.wait(lambda: self.code is not None, timeout, "a close")
        return self.code


def barrier(who, client, channel, since=0):
    """All that was told before is here: something told after it has come. The id of its message."""
    message = who.say(channel, "barrier")
    client.wait_event("MESSAGE_CREATE", since, id=message["id"])
    return message["id"]
