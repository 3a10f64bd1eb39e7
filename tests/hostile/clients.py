"""Clients that send bytes as no library would, and one that behaves, to see whether the others are in its way."""
import os
import re
import resource
import socket
import threading
import time
from urllib.parse import urlparse

from api import Api
from polling import PATIENCE, SOON_S, poll

STALL_S = 0.5  # nobody waits longer because of others
QUIET_S = 0.15
# The sanitizer keeps what was freed, and tells of leaks itself.
MEMORY_GROWTH_KIB = 1024 * 1024 if "asan" in os.environ.get("ATRIUM_BUILD", "") else 24 * 1024


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect(url, source=None, receive_bytes=None):
    address = urlparse(url)
    s = socket.socket()
    if receive_bytes:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    if source:
        s.bind((source, 0))
    s.settimeout(30)
    s.connect((address.hostname, address.port))
    return s


def read_all(s, seconds=30):
    """What comes until the other side closes: bytes, and whether it closed within `seconds`."""
    until = time.monotonic() + seconds
    got = b""
    while (left := until - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            part = s.recv(65536)
        except TimeoutError:
            break
        except OSError:
            return got, True
        if not part:
            return got, True
        got += part
    return got, False


def statuses(answer):
    return [int(code) for code in re.findall(rb"(?:^|\r\n|\n|})HTTP/1\.[01] (\d{3}) ", answer)]


def read_answers(s):
    """What comes until the other side closes, or is silent after an answer: bytes, and whether it closed. An answer may
    take its time; a second one would come right behind it."""
    got, closed = b"", False
    while not closed:
        more, closed = b"", True
        s.settimeout(SOON_S if not any(status >= 200 for status in statuses(got)) else QUIET_S)
        try:
            more = s.recv(65536)
            closed = not more
        except TimeoutError:
            return got, False
        except OSError:
            pass
        got += more
    return got, True


def raw(url, data, seconds=None):
    """Sends it, and reads what comes of it: within `seconds` when they are given."""
    with connect(url) as s:
        try:
            s.sendall(data)
        except OSError:
            pass
        return read_answers(s) if seconds is None else read_all(s, seconds)


def unread(url):
    """Bytes that the kernel keeps for clients of this port, also after the gateway has closed; and how many clients."""
    port = f"{urlparse(url).port:04X}"
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.read().splitlines()[1:]]
    queues = [int(row[4].split(":")[0], 16) for row in rows if row[1].endswith(":" + port) and row[3] != "0A"]
    return sum(queues), sum(1 for queue in queues if queue)


class Process:
    """The gateway as the kernel sees it."""

    def __init__(self, stack):
        self.stack, self.pid = stack, stack.status()["gateway"]["pid"]
        self.descriptors, self.memory = self.look()

    def look(self):
        with open(f"/proc/{self.pid}/status") as f:
            memory = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
        return len(os.listdir(f"/proc/{self.pid}/fd")), memory

    def is_as_before(self):
        assert self.stack.status()["gateway"]["pid"] == self.pid

        def small_again():
            descriptors, memory = self.look()
            return descriptors <= self.descriptors + 8 and memory <= self.memory + MEMORY_GROWTH_KIB

        poll(small_again, 30, f"as small as before ({self.descriptors} descriptors, {self.memory} KiB)")


class Bystander(threading.Thread):
    """Asks who it is all the time, on a connection that is kept and on fresh ones; `with` it around an attack."""

    def __init__(self, url, token):
        super().__init__(daemon=True)
        self.url, self.token, self.stopped = url, token, threading.Event()
        self.asked, self.slowest, self.wrong = 0, 0.0, []

    def run(self):
        kept = Api(self.url)
        while not self.stopped.is_set():
            for api in (kept, Api(self.url)):
                began = time.monotonic()
                try:
                    status = api.me(self.token).status_code
                except Exception as error:  # of any kind: it is reported
                    status = repr(error)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.asked += 1
                if status != 200:
                    self.wrong.append(status)
                if api is not kept:
                    api.session.close()
            time.sleep(0.01)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        poll(lambda: self.asked >= 20, what="the bystander was there")
        self.stopped.set()
        self.join(60)
        if kind is None:
            assert not self.wrong
            assert self.slowest < STALL_S * PATIENCE
