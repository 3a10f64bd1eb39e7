"""Clients that read and write at a steady rate and remember everything that was not as it should be."""
import http.client
import json
import secrets
import threading
import time
from urllib.parse import urlparse

from api import PASSWORD

# What a proxy may do to a connection that waited, and a client then asks again.
RESETS = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


class Client(threading.Thread):
    """One account, one connection that is kept, one request after the other."""

    def __init__(self, load, pause):
        super().__init__(daemon=True)
        self.load, self.pause = load, pause
        address = urlparse(load.url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        self.done, self.resets, self.failures, self.served_by = 0, 0, [], set()
        self.wrote = None  # what must be read back: it was acknowledged
        self.username = "roll" + secrets.token_hex(6)
        self.token = self.ask("POST", "/api/v1/auth/register",
                              {"username": self.username, "password": PASSWORD})["access_token"]

    def ask(self, method, path, body=None):
        """The answer's JSON; None when it failed, which is noted."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if getattr(self, "token", None):
            headers["Authorization"] = f"Bearer {self.token}"
        payload = json.dumps(body) if body is not None else None
        for attempt in (1, 2):
            kept = self.connection.sock is not None
            try:
                self.connection.request(method, path, body=payload, headers=headers)
                answer = self.connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                if isinstance(error, RESETS) and kept and attempt == 1:
                    self.resets += 1
                    continue
                self.failures.append(f"{method} {path}: {error!r}")
                return None
            self.done += 1
            if answer.status in (200, 201):
                return json.loads(text)
            self.failures.append(f"{method} {path}: {answer.status} {text[:200]!r}")
            return None
        return None

    def write(self, i):
        wanted = f"{self.username[:20]} {i}"
        answer = self.ask("PATCH", "/api/v1/users/@me", {"display_name": wanted})
        self.wrote = wanted if answer else None

    def read(self):
        answer = self.ask("GET", "/api/v1/users/@me")
        if answer and self.wrote and answer.get("data", answer).get("display_name") != self.wrote:
            self.failures.append(f"{self.wrote!r} was acknowledged, but {answer!r} is read")

    def login(self):
        answer = self.ask("POST", "/api/v1/auth/login", {"username": self.username, "password": PASSWORD})
        if answer:
            self.token = answer["access_token"]

    def run(self):
        try:
            self.work()
        except Exception as error:  # an answer that it could not make sense of, for instance
            self.failures.append(f"a client gave up: {error!r}")

    def work(self):
        i = 0
        while not self.load.stopped.is_set():
            began = time.monotonic()
            i += 1
            if i % 40 == 0:
                self.login()
            elif i % 4 == 0:
                self.write(i)
            else:
                self.read()
            time.sleep(max(0.0, self.pause - (time.monotonic() - began)))


class Load:
    """`clients` of them, together about `rate` requests a second, from start() to stop()."""

    def __init__(self, url, clients=12, rate=500):
        self.url, self.stopped = url, threading.Event()
        self.clients = [Client(self, clients / rate) for _ in range(clients)]

    def start(self):
        for client in self.clients:
            client.start()
        return self

    def done(self):
        return sum(c.done for c in self.clients)

    def stop(self):
        self.stopped.set()
        for client in self.clients:
            client.join(60)
            client.connection.close()

    def failures(self):
        return [f for c in self.clients for f in c.failures]

    def resets(self):
        return sum(c.resets for c in self.clients)
