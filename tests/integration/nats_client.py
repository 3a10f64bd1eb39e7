"""A small NATS client for tests: it speaks the protocol itself, so that it sees what the server really says."""
import json
import select
import socket
import time
import uuid
from urllib.parse import urlparse

from polling import SOON_S


class Message:
    def __init__(self, subject, sid, reply, headers, body):
        self.subject, self.sid, self.reply, self.headers, self.body = subject, sid, reply, headers, body

    @property
    def status(self):
        """"503" for nobody there; "" for an ordinary message."""
        return self.headers.get("", "")

    def json(self):
        return json.loads(self.body)


class Refused(Exception):
    """The server closed the connection with an error."""


class Nats:
    def __init__(self, url, user=None, password=None):
        address = urlparse(url)
        self.user, self.inbox = user, f"_INBOX.{user}.test.{uuid.uuid4().hex}"
        self.errors, self.messages, self.buffer, self.sids = [], [], b"", 0
        self.socket = socket.create_connection((address.hostname, address.port or 4222), timeout=SOON_S)
        self.info = json.loads(self._line().split(b" ", 1)[1])
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "test",
                   "version": "0", "protocol": 1}
        if user:
            options.update(user=user, **{"pass": password})
        self._send(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def _send(self, data):
        self.socket.sendall(data)

    def _fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise Refused(self.errors[-1] if self.errors else "closed")
        self.buffer += data

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line

    def _bytes(self, count):
        while len(self.buffer) < count + 2:
            self._fill()
        data, self.buffer = self.buffer[:count], self.buffer[count + 2:]
        return data

    def _read_one(self):
        """Reads one protocol line; True when it was a PONG."""
        line = self._line()
        verb, _, rest = line.partition(b" ")
        if verb in (b"MSG", b"HMSG"):
            words = rest.decode().split()
            sizes = 1 if verb == b"MSG" else 2
            reply = words[2] if len(words) == 3 + sizes else None
            total = int(words[-1])
            head_size = int(words[-2]) if verb == b"HMSG" else 0
            data = self._bytes(total)
            headers = {}
            if head_size:
                first, *lines = data[:head_size].decode().split("\r\n")
                headers[""] = first[len("NATS/1.0"):].strip()
                headers.update(part.split(": ", 1) if ": " in part else part.split(":", 1) for part in lines if part)
            self.messages.append(Message(words[0], int(words[1]), reply, headers, data[head_size:]))
        elif verb == b"PING":
            self._send(b"PONG\r\n")
        elif verb == b"-ERR":
            self.errors.append(rest.decode().strip("'"))
        return verb == b"PONG"

    def flush(self):
        """Until the server has seen all that was sent; what it refused is in `errors` then."""
        self._send(b"PING\r\n")
        while not self._read_one():
            pass

    def subscribe(self, subject, queue=""):
        self.sids += 1
        self._send(f"SUB {subject} {queue} {self.sids}\r\n".encode())
        return self.sids

    def publish(self, subject, body=b"", reply="", headers=None):
        if headers:
            head = ("NATS/1.0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode()
            self._send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n".encode() + head + body + b"\r\n")
        else:
            self._send(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")

    def next(self, sid=None, seconds=SOON_S):
        """The next message (of one subscription); None when the time is over."""
        until = time.monotonic() + seconds
        while True:
            for i, message in enumerate(self.messages):
                if sid is None or message.sid == sid:
                    return self.messages.pop(i)
            left = until - time.monotonic()
            if left <= 0 or (b"\r\n" not in self.buffer and not select.select([self.socket], [], [], left)[0]):
                return None
            self._read_one()

    def request(self, subject, body=b"", headers=None, seconds=SOON_S, callee="srv"):
        inbox = f"_INBOX.{self.user}.{callee}.{uuid.uuid4().hex}"
        sid = self.subscribe(inbox)
        self.publish(subject, body, inbox, headers)
        return self.next(sid, seconds)

    def request_many(self, subject, body=b"", seconds=1):
        inbox = f"_INBOX.{self.user}.srv.{uuid.uuid4().hex}"
        sid = self.subscribe(inbox)
        self.publish(subject, body, inbox)
        answers = []
        while (message := self.next(sid, seconds)) is not None:
            answers.append(message)
        return answers

    def denied_subscribe(self, subject, queue=""):
        before = len(self.errors)
        self.subscribe(subject, queue)
        self.flush()
        return any("Permissions Violation for Subscription" in e for e in self.errors[before:])

    def denied_publish(self, subject, body=b""):
        before = len(self.errors)
        self.publish(subject, body)
        self.flush()
        return any("Permissions Violation for Publish" in e for e in self.errors[before:])
