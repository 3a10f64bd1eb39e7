"""A gateway alone: its tables are made of edge.proto, its data plane and the services behind it are stand-ins."""
import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

from nats_client import Nats, Refused
from polling import SOON_S, poll
from stack import ROOT

BUILD = ROOT / os.environ.get("ATRIUM_BUILD", "build")
SECRET = "0123456789012345678901234567890123456789"
PATTERN = bytes(range(256)) * 256


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def token(user_id=7, login="01a1f9d0-812a-7dc3-99d6-c818edbc95fa"):
    """An access token as auth makes them."""
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    claims = {"user_id": str(user_id), "sub": str(user_id), "username": "ann", "role": "user", "sid": login, "iat": now,
              "exp": now + 600}
    text = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + part(json.dumps(claims).encode())
    return (text + b"." + part(hmac.new(SECRET.encode(), text, hashlib.sha256).digest())).decode()


class Plane:
    """A data plane that does what the path says, well or badly. Each connection has a thread."""

    def __init__(self, port=0):
        self.listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.connections = self.requests = self.gone = 0
        self.open = set()
        self.received = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection:
                while self._one(connection, connection.makefile("rb", buffering=65536)):
                    pass
        except OSError:
            self.gone += 1
        finally:
            self.open.discard(connection)

    def _one(self, out, source):
        line = source.readline()
        if not line:
            return False
        self.requests += 1
        method, target, _ = line.decode().split()
        headers = []
        while (line := source.readline().decode("latin-1").rstrip("\r\n")):
            headers.append(line.split(": ", 1))
        url = urllib.parse.urlsplit(target)
        name = url.path.split("/")[2] if url.path.count("/") > 1 else url.path[1:]
        query = dict(urllib.parse.parse_qsl(url.query))
        handler = getattr(self, "on_" + name)
        return handler(out, Body(self, source, dict((k.lower(), v) for k, v in headers)), method, headers, query,
                       url.path.split("/")[3:]) is not False

    def answer(self, out, status, body=b"", headers=()):
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers)
        out.sendall(head.encode("latin-1") + b"\r\n" + body)

    # What it does.
    def on_head(self, out, body, method, headers, query, rest):
        body.drain()
        self.answer(out, 200, json.dumps({"method": method, "headers": headers, "rest": rest, "query": query}).encode(),
                    [("Content-Type", "application/json")])

    def on_sink(self, out, body, method, headers, query, rest):
        if "pause" in query:
            time.sleep(float(query["pause"]))
        if body.headers.get("expect"):
            out.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        digest, count = hashlib.sha256(), 0
        for piece in body.pieces():
            count += len(piece)
            if "hash" in query:
                digest.update(piece)
        self.answer(out, 201, json.dumps({"bytes": count, "sha256": digest.hexdigest(),
                                          "chunked": "transfer-encoding" in body.headers}).encode(),
                    [("Location", "/open/made"), ("Upload-Offset", str(count))])

    def on_get(self, out, body, method, headers, query, rest):
        size = int(rest[0])
        part = "range" in body.headers
        head = (f"HTTP/1.1 {206 if part else 200} OK\r\nETag: \"x\"\r\nContent-Type: video/mp4\r\n" +
                (f"Content-Range: bytes 0-{size - 1}/{size + 1}\r\n" if part else "") + f"Content-Length: {size}\r\n\r\n")
        out.sendall(head.encode())
        if method != "HEAD":
            send_pattern(out, size)

    def on_chunked(self, out, body, method, headers, query, rest):
        size = int(rest[0])
        out.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n")
        while size:
            piece = PATTERN[:min(size, 65536, 1 + size // 3)]
            out.sendall(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
            size -= len(piece)
        out.sendall(b"0\r\nX-T: dropped\r\n\r\n")

    def on_toclose(self, out, body, method, headers, query, rest):
        out.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + PATTERN[:int(rest[0])])
        return False

    def on_status(self, out, body, method, headers, query, rest):
        body.drain()
        out.sendall(f"HTTP/1.1 {rest[0]} X\r\nETag: \"x\"\r\n\r\n".encode())

    def on_early(self, out, body, method, headers, query, rest):
        """Answers without reading the body."""
        self.answer(out, int(rest[0]), b'{"why":"early"}', [("Content-Type", "application/json"), ("Connection", "close")])
        time.sleep(float(query.get("linger", "0.2")))
        return False

    def on_die(self, out, body, method, headers, query, rest):
        """After so many bytes of an answer; with a second number, of one so long."""
        out.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {rest[1] if rest[1:] else 1000000}\r\n\r\n".encode())
        send_pattern(out, int(rest[0]))
        return False

    def on_drop(self, out, body, method, headers, query, rest):
        """Dies after so many bytes of the body."""
        count = 0
        for piece in body.pieces():
            count += len(piece)
            if count >= int(rest[0]):
                return False

    def on_raw(self, out, body, method, headers, query, rest):
        """Says what the query says; @ is 20,000 letters."""
        body.drain()
        out.sendall(base64.urlsafe_b64decode(query.get("text", "")).replace(b"@", b"a" * 20000))
        return "keep" in query

    def on_silent(self, out, body, method, headers, query, rest):
        while out.recv(65536):
            pass
        self.gone += 1
        return False

    def on_stall(self, out, body, method, headers, query, rest):
        out.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + PATTERN[:1000])
        while out.recv(65536):
            pass
        self.gone += 1
        return False

    def on_trickle(self, out, body, method, headers, query, rest):
        out.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True: # until it cannot: _serve counts that
            out.sendall(b"x" * 100)
            time.sleep(0.02)

    def on_probe(self, out, body, method, headers, query, rest):
        out.sendall(b"HTTP/1.1 200 OK\r\nUpload-Offset: 7\r\nCache-Control: no-store\r\n\r\n")


class Body:
    def __init__(self, plane, source, headers):
        self.plane, self.source, self.headers = plane, source, headers

    def pieces(self):
        if self.headers.get("transfer-encoding") == "chunked":
            while (size := int(self.source.readline(), 16)):
                yield self._count(self.source.read(size))
                assert self.source.readline() == b"\r\n"
            assert self.source.readline() == b"\r\n"
            return
        left = int(self.headers.get("content-length", "0"))
        while left:
            piece = self.source.read1(min(left, 65536))
            if not piece:
                raise OSError("the body is cut")
            left -= len(piece)
            yield self._count(piece)

    def _count(self, piece):
        self.plane.received += len(piece)
        return piece

    def drain(self):
        for _ in self.pieces():
            pass


def send_pattern(out, size):
    while size:
        piece = PATTERN[:min(size, len(PATTERN))]
        out.sendall(piece)
        size -= len(piece)


class Producer:
    """A service that streams, as docs/bus.md has it; the test says what."""

    def __init__(self, url):
        self.nats = Nats(url, "edge")
        self.sid = self.nats.subscribe("rpc.main.edge.v1.*")
        self.control_sid = self.nats.subscribe("rpc.main.edge._stream.test.*")
        self.nats.flush()
        self.reply, self.seq = None, 0
        self.credit = 0

    def take(self):
        """The next request, of a stream or not."""
        request = self.nats.next(self.sid, 10)
        assert request, "no request came"
        self.reply, self.seq = request.reply, 0
        self.credit = int(request.headers.get("Atrium-Stream-Credit", 0))
        return request

    def open(self):
        self.nats.publish(self.reply, b"", headers={"Atrium-Seq": "0",
                                                    "Atrium-Stream-Control": "rpc.main.edge._stream.test.1"})

    def send(self, body, seq=None):
        self.seq += 1
        self.nats.publish(self.reply, body, headers={"Atrium-Seq": str(seq or self.seq)})

    def end(self, code=None, body=b""):
        self.seq += 1
        headers = {"Atrium-Seq": str(self.seq), "Atrium-Stream-End": "1"}
        if code:
            headers.update({"Nats-Service-Error-Code": str(code), "Nats-Service-Error": "x"})
        self.nats.publish(self.reply, body, headers=headers)

    def control(self, seconds=SOON_S):
        """The next word of the reader: its headers."""
        message = self.nats.next(self.control_sid, seconds)
        return message.headers if message else None

    def cancelled(self, seconds=SOON_S):
        until = time.monotonic() + seconds
        while (headers := self.control(until - time.monotonic())) is not None:
            if "Atrium-Stream-Cancel" in headers:
                return True
        return False


def field(number, value):
    """One field of a protobuf message: a text, or a number."""
    def varint(n):
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


class Edge:
    def __init__(self, settings=None):
        self.folder = tempfile.mkdtemp(prefix="atrium-edge-")
        self.processes = []
        self.plane = Plane()
        self.settings = settings or {}
        self.stopping = False

    def start(self):
        self._make_tables()
        self.nats_port, self.port = free_port(), free_port()
        self.nats_url = f"nats://127.0.0.1:{self.nats_port}"
        self.url = f"http://127.0.0.1:{self.port}"
        self._run("nats-server", "-a", "127.0.0.1", "-p", str(self.nats_port), "-js", "-sd", self.folder + "/js")
        poll(self._bus_answers, what="nats-server")
        with Nats(self.nats_url, "ops") as bus:
            made = bus.request("$JS.API.STREAM.CREATE.EVT_AUTH",
                               json.dumps({"name": "EVT_AUTH", "subjects": ["evt.auth.>"], "storage": "memory",
                                           "retention": "limits", "max_age": 0, "num_replicas": 1}).encode())
            assert "error" not in made.json(), made.body
        self._grants = Nats(self.nats_url, "auth")
        self._grants.subscribe("rpc.main.auth.v1.GetGrants")
        self._grants.flush()
        threading.Thread(target=self._answer_grants, daemon=True).start()
        self.gateway = self.start_gateway()
        return self

    def _make_tables(self):
        tables = self.folder + "/gateway.tables"
        protos = self.folder + "/protos"
        os.makedirs(protos + "/atrium/edge/v1")
        shutil.copy(ROOT / "tests/integration/edge.proto", protos + "/atrium/edge/v1/edge.proto")
        subprocess.run(["protoc", f"-I{ROOT}/proto", "-I" + protos, "-I/usr/include",
                        f"--plugin=protoc-gen-atrium={BUILD}/bin/protoc-gen-atrium",
                        f"--atrium_out=platform,tables={tables}:{self.folder}", "atrium/reasons.proto",
                        "atrium/edge/v1/edge.proto"], check=True)

    def _run(self, *command, env=None):
        with open(self.folder + "/" + os.path.basename(command[0]) + ".log", "ab") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def _bus_answers(self):
        Nats(self.nats_url, "ops").close()
        return True

    def _answer_grants(self):
        try:
            while not self.stopping:
                message = self._grants.next(seconds=0.2)
                if message:
                    self._grants.publish(message.reply)
        except (OSError, ValueError, Refused):
            pass

    def start_gateway(self):
        environment = {k: os.environ[k] for k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if k in os.environ}
        environment.update({"SERVER_ADDR": f"127.0.0.1:{self.port}", "JWT_SECRET": SECRET, "NATS_URL": self.nats_url,
                            "GATEWAY_SIGNING_KEY": "00" * 32, "GATEWAY_TABLES": self.folder + "/gateway.tables",
                            "GATEWAY_OPENAPI": "", "GATEWAY_ASYNCAPI": "", "GATEWAY_DOCS_DIR": "", "RATE_LIMITS": "off",
                            "BYTES_BACKENDS": f"edge=127.0.0.1:{self.plane.port}", "SHUTDOWN_TIMEOUT": "3s",
                            "CORS_ALLOWED_ORIGINS": "http://good.example", "ADMIN_ADDR": f"127.0.0.1:{free_port()}"})
        environment.update(self.settings)
        gateway = self._run(str(BUILD / "bin/gateway"), env=environment)
        poll(lambda: b" 200 " in self.ask("GET /readyz HTTP/1.1").head, what="the gateway")
        return gateway

    def stop(self):
        self.stopping = True
        self.plane.close()
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self):
        return Client(self.port)

    def ask(self, head, body=b"", **options):
        """One request on a connection of its own."""
        with self.connect() as client:
            return client.ask(head, body, **options)

    def metric(self, name):
        text = self.ask("GET /metrics HTTP/1.1").body.decode()
        found = re.search("^" + re.escape(name) + r" ([\d.e+]+)$", text, re.M)
        return float(found.group(1)) if found else 0

    def descriptors(self):
        """Open ones of the gateway."""
        return len(os.listdir(f"/proc/{self.gateway.pid}/fd"))

    def memory(self):
        """Resident bytes of the gateway."""
        with open(f"/proc/{self.gateway.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Answer:
    def __init__(self, head, body, complete):
        self.head, self.body, self.complete = head, body, complete
        self.status = int(head.split(b" ", 2)[1]) if head else 0
        self.headers = {}
        for line in head.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(": ")
            if name:
                self.headers.setdefault(name.lower(), value)

    def json(self):
        return json.loads(self.body)


class Client:
    """Bytes as they are."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.source = self.socket.makefile("rb", buffering=65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.source.close()
        self.socket.close()

    def send(self, head, body=b""):
        text = head + "\r\nHost: t\r\n" + ("" if "Content-Length" in head or "Transfer-Encoding" in head or not body
                                           else f"Content-Length: {len(body)}\r\n")
        self.socket.sendall(text.encode("latin-1") + b"\r\n" + body)

    def ask(self, head, body=b"", **options):
        self.send(head, body)
        return self.answer(no_body=head.startswith("HEAD"), **options)

    def head(self):
        lines = []
        while (line := self.source.readline()) not in (b"\r\n", b""):
            lines.append(line)
        return b"".join(lines)

    def answer(self, no_body=False, keep=True):
        """`keep`: the body is wanted, not only its length."""
        head = self.head()
        while head.startswith(b"HTTP/1.1 100"):
            head = self.head()
        answer = Answer(head, b"", bool(head))
        if no_body or answer.status in (204, 304):
            return answer
        try:
            if answer.headers.get("transfer-encoding") == "chunked":
                pieces, answer.complete = [], False
                while (size := int(self.source.readline() or b"-1", 16)) > 0:
                    pieces.append(self.source.read(size))
                    self.source.readline()
                answer.complete = size == 0 and self.source.readline() == b"\r\n"
                answer.body = b"".join(pieces)
            else:
                left = int(answer.headers.get("content-length", "0"))
                answer.body = self.source.read(left) if keep else self._skip(left)
                answer.complete = len(answer.body) == left
        except (OSError, ValueError):
            answer.complete = False
        return answer

    def _skip(self, left):
        done = 0
        while done < left and (piece := self.source.read1(1 << 20)):
            done += len(piece)
        return range(done)

    def event(self):
        """The next event of a stream that comes in chunks: its lines, or None at the end."""
        lines = []
        while True:
            line = self._line_of_chunks()
            if line is None:
                return None
            if not line:
                return lines
            lines.append(line)

    chunk = b""

    def _line_of_chunks(self):
        while b"\n" not in self.chunk:
            size = int(self.source.readline().strip() or b"0", 16)
            if not size:
                return None
            self.chunk += self.source.read(size)
            self.source.readline()
        line, self.chunk = self.chunk.split(b"\n", 1)
        return line.decode()

    def left(self, seconds=SOON_S):
        """Did the other side close?"""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except OSError:
            return False
