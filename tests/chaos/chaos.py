"""A stack under load, broken and mended; then judged. `run` is the command, test_chaos.py a minute of it."""
import http.client
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import auth_domain  # noqa: E402
import chat_domain  # noqa: E402
import checker  # noqa: E402
import events_domain  # noqa: E402
import media_domain  # noqa: E402
import outbox_domain  # noqa: E402
from history import History  # noqa: E402
from nats_client import Nats  # noqa: E402
from nemesis import Cuttable, Nemesis  # noqa: E402
from stack import Stack  # noqa: E402
from streams import read_stream  # noqa: E402

# Each later domain adds its module: threads of work, what "works" means, and CHECKS.
DOMAINS = (auth_domain, outbox_domain, media_domain, chat_domain, events_domain)
STREAMS = [stream for domain in DOMAINS for stream in domain.Domain.streams]
CHECKS = [check for domain in DOMAINS for check in domain.CHECKS]
RATE_LIMITS = ("auth=1000000/60,user=1000000/60,chat=1000000/60,connect=1000000/60,commons=1000000/60,"
               "commons.agent=1000000/60,commons.admin=0")
CALM_S = 1.5            # between two faults
GIVE_UP_S = 60          # for everything to work again
ADMIN = [f"ADMIN_PORT_{name}" for name in ("gateway", "gateway_2", "auth", "chat", "events", "media", "transcode")]
OUTBOXES = ("auth", "chat", "events", "media", "transcode")


class Chaos:
    def __init__(self):
        # As a real deployment: what is killed must not have lost what it acknowledged, and rates are counted in Redis,
        # though nobody reaches them.
        self.stack = Stack(gateways=2, settings={"ATRIUM_PG_FSYNC": "on", "RATE_LIMITS": RATE_LIMITS,
                                                  **media_domain.SETTINGS})
        self.history, self.proxy, self.nemesis = History(), None, None
        self.broken = []

    def __enter__(self):
        threading.excepthook = self._note_broken
        try:
            self.stack.up()
            self._put_proxy_before("gateway-2")
            self.gateways = {"gateway": self.stack.url, "gateway-2": self.stack.url2}
            self.nemesis = Nemesis(self.stack, self.proxy)
            self.domains = [module.Domain(self.stack, self.history, self.gateways) for module in DOMAINS]
        except BaseException:
            self.__exit__()
            raise
        return self

    def _note_broken(self, thread):
        """A client that ends by an exception, at an answer that makes no sense for instance, would find nothing more."""
        self.broken.append(("client broken", f"{thread.thread.name}: {thread.exc_value!r}"))
        threading.__excepthook__(thread)

    def __exit__(self, *_):
        threading.excepthook = threading.__excepthook__
        if self.nemesis:
            self.nemesis.calm()
        try:
            self.stack.destroy()
        finally:
            if self.proxy:
                self.proxy.close()

    def _put_proxy_before(self, name):
        self.proxy = Cuttable(int(self.stack.ports["NATS_PORT"]))
        file = self.stack.folder / "stack/run" / f"{name}.env"
        file.write_text(file.read_text().replace(self.stack.nats_url, f"nats://127.0.0.1:{self.proxy.port}"))
        self.stack.atrium("restart", name)

    # --- health
    def _get(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def ready(self):
        """Everyone says so, and no event waits to be published."""
        if any(self._get(self.stack.ports[name], "/readyz")[0] != 200 for name in ADMIN):
            return False
        metrics = [self._get(self.stack.ports[f"ADMIN_PORT_{name}"], "/metrics")[1] for name in OUTBOXES]
        backlog = [line.split()[-1] for text in metrics for line in text.splitlines()
                   if line.startswith("atrium_outbox_backlog")]
        return all(float(value) < 50 for value in backlog)  # a few are always on their way

    def works(self):
        """One of everything at each gateway, outside of the history."""
        return all(domain.works(gateway) for domain in self.domains for gateway in self.gateways)

    def await_health(self, seconds=GIVE_UP_S):
        """When it was there; infinity when it did not come."""
        until = time.time() + seconds
        while time.time() < until:
            try:
                if self.ready() and self.works():
                    return time.time()
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.1)
        return float("inf")

    # --- the run
    def start(self):
        for domain in self.domains:
            domain.start()
        time.sleep(CALM_S)

    def _come_late(self, fault):
        for down in fault.downs:
            if down.target in self.gateways and down.how in ("stop", "cut"):
                for domain in self.domains:
                    domain.come_late(down)

    def break_and_mend(self, name, quick=False):
        fault = self.nemesis.run(name, self.history, self._come_late, quick)
        fault.healthy = self.await_health()
        time.sleep(CALM_S)
        return fault

    def finish(self):
        """Ends the load, asks for everything, reads the streams, judges: what is wrong."""
        for domain in self.domains:
            domain.finish()
        self.await_health()
        self.read_streams()
        return self.broken + checker.judge(self.history, CHECKS)

    def read_streams(self):
        with Nats(self.stack.nats_url, "ops", self.stack.secret("nats_ops")) as ops:
            self.history.events = [event for stream in STREAMS for event in read_stream(ops, stream)]
