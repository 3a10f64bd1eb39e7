"""The realtime edge without a domain: nats-server, gateways, and the echo service of tests/realtime."""
import json
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.request

from edge import BUILD, SECRET, free_port, token
from nats_client import Nats, Refused
from polling import poll
from sockets import WebSocket
from stack import ROOT

SIGNING_SEED = "00" * 32
PUBLIC_KEY = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29" # of that seed, by RFC 8032


def token_of(user):
    """Of a login of his own."""
    return token(user, f"01a1f9d0-812a-7dc3-99d6-{user:012d}")


def make_echo():
    """The service and its tables; already there after `make test`."""
    path = BUILD / "test/realtime"
    kind = [f"BUILD={BUILD.name}"] if BUILD.name in ("asan", "tsan") else []
    subprocess.run(["make", "--no-print-directory", "-s", *kind, str(path.relative_to(ROOT) / "echo")], cwd=ROOT,
                   check=True, stdout=subprocess.DEVNULL)
    return path


class Realtime:
    def __init__(self, gateways=2, settings=None):
        self.folder = tempfile.mkdtemp(prefix="atrium-realtime-")
        self.settings = settings or {}
        self.echo = make_echo()
        self.nats_port = free_port()
        self.nats_url = f"nats://127.0.0.1:{self.nats_port}"
        self.ports = [free_port() for _ in range(gateways)]
        self.processes, self.stopping = {}, False

    def start(self):
        self.start_nats()
        with Nats(self.nats_url, "ops") as bus:
            for name, subject in (("EVT_AUTH", "evt.auth.>"), ("DSP_ECHO", "dsp.echo.>")):
                made = bus.request(f"$JS.API.STREAM.CREATE.{name}",
                                   json.dumps({"name": name, "subjects": [subject], "storage": "file",
                                               "retention": "limits", "max_age": 0, "num_replicas": 1}).encode())
                assert "error" not in made.json(), made.body
        threading.Thread(target=self._answer_grants, daemon=True).start()
        self.start_echo()
        for i in range(len(self.ports)):
            self.start_gateway(i)
        return self

    def _run(self, name, *command, env=None):
        with open(f"{self.folder}/{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def _environment(self, **more):
        environment = {k: os.environ[k] for k in ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS") if k in os.environ}
        environment.update({"NATS_URL": self.nats_url, "SHUTDOWN_TIMEOUT": "3s", "ADMIN_ADDR": "127.0.0.1:0",
                            "LOG_FORMAT": "json", **more})
        return environment

    def start_nats(self):
        self._run("nats", "nats-server", "-a", "127.0.0.1", "-p", str(self.nats_port), "-js", "-sd", self.folder + "/js")
        poll(self._bus_answers, what="nats-server")

    def start_echo(self):
        self._run("echo", str(self.echo / "echo"), env=self._environment(GATEWAY_PUBLIC_KEY=PUBLIC_KEY))

    def start_gateway(self, i):
        env = self._environment(SERVER_ADDR=f"127.0.0.1:{self.ports[i]}", JWT_SECRET=SECRET,
                                GATEWAY_SIGNING_KEY=SIGNING_SEED, GATEWAY_TABLES=str(self.echo / "echo.tables"),
                                GATEWAY_OPENAPI="", GATEWAY_ASYNCAPI="", GATEWAY_DOCS_DIR="", RATE_LIMITS="off",
                                **self.settings)
        self._run(f"gateway{i}", str(BUILD / "bin/gateway"), env=env)
        poll(lambda: self.ready(i), what="the gateway")

    def ready(self, i):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[i]}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _bus_answers(self):
        Nats(self.nats_url, "ops").close()
        return True

    def _answer_grants(self):
        """Stands in for auth: nobody has a role that grants anything; and again after nats-server was away."""
        while not self.stopping:
            try:
                with Nats(self.nats_url, "auth") as nats:
                    nats.subscribe("rpc.main.auth.v1.GetGrants")
                    nats.flush()
                    while not self.stopping:
                        message = nats.next(seconds=0.2)
                        if message:
                            nats.publish(message.reply)
            except (OSError, ValueError, Refused):
                pass

    def kill(self, name, signal=9):
        self.processes[name].send_signal(signal)
        return self.processes[name].wait(timeout=30)

    def open(self, i=0, topics="", user=0, path="/echo", query="", **options):
        """A socket of `user`, or of nobody, that has been told READY, or RESUMED: what it had missed is in `messages`."""
        headers = [f"Authorization: Bearer {token_of(user)}"] if user else []
        ws = WebSocket(self.ports[i], f"{path}?topics={topics}{query}", headers, **options)
        while (message := ws.next()) and message["t"] == "SAID":
            pass
        assert message and message["t"] in ("READY", "RESUMED"), (message, ws.closed)
        ws.ready = message
        ws.epoch = ws.ready["d"]["text"]
        return ws

    def say(self, topic, text="", i=0, user=0, timeout=30, **more):
        """The number of the dispatch."""
        body = json.dumps({"topic": topic, "text": text, **more}).encode()
        headers = {"Content-Type": "application/json"}
        if user:
            headers["Authorization"] = "Bearer " + token_of(user)
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[i]}/echo/say", body, headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)["position"]

    def metric(self, name, i=0):
        """The sum of a metric's rows."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[i]}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))

    def log(self, name):
        with open(f"{self.folder}/{name}.log", encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        self.stopping = True
        for process in reversed(list(self.processes.values())):
            if process.poll() is None:
                process.terminate()
        ends = {name: process.wait(timeout=30) for name, process in self.processes.items()}
        complaints = [line for name in self.processes for line in self.log(name).splitlines()
                      if "Sanitizer" in line or "runtime error:" in line]
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not complaints, "\n".join(complaints)
        return ends
