"""Breaks things: processes of a stack, singly and in pairs, and a gateway's way to the bus."""
import concurrent.futures
import fnmatch
import itertools
import os
import pathlib
import select
import signal
import socket
import threading
import time

from history import Down, Fault

TARGETS = ("gateway", "auth", "chat", "media", "transcode", "events", "nats", "postgresql", "redis")
HOLD_S = {"kill": 2.0, "stop": 7.0, "restart": 0.0, "cut": 7.0}
QUICK_S = 0.2
# How the two of a pair are broken; one of these for each pair of targets, in turn.
PAIR_WAYS = (("kill", "kill"), ("stop", "kill"), ("kill", "stop"))

SINGLES = [f"{how}:{target}" for how in ("kill", "stop", "restart") for target in TARGETS] + ["cut:gateway-2"]
PAIRS = [f"{ways[0]}:{a}+{ways[1]}:{b}" for (a, b), ways in zip(itertools.combinations(TARGETS, 2),
                                                               itertools.cycle(PAIR_WAYS))]
# A minute of it, for make test: one of each kind, those that found most, and a pair.
SHORT = ["kill:gateway", "kill:auth", "kill:nats", "kill:postgresql", "stop:gateway", "cut:gateway-2",
         "kill:nats+kill:auth", "kill:media+kill:transcode", "kill:chat", "kill:events"]


def select_faults(text):
    """CHAOS_FAULTS: names and patterns, of the tables or not: "kill:*", "pairs", "stop:auth+kill:redis"."""
    named = {"all": SINGLES + PAIRS, "singles": SINGLES, "pairs": PAIRS, "short": SHORT, "": SINGLES + PAIRS}
    if text in named:
        return named[text]
    chosen = []
    for word in text.replace(",", " ").split():
        found = named.get(word) or fnmatch.filter(SINGLES + PAIRS, word) or [word]
        chosen += [name for name in found if name not in chosen]
    for name in chosen:
        for part in name.split("+"):
            how, _, target = part.partition(":")
            if how not in HOLD_S or not target or (how == "cut" and target != "gateway-2"):
                raise SystemExit(f"no fault \"{part}\"; known: {', '.join(SINGLES + PAIRS)}")
    return chosen


class Cuttable:
    """A TCP proxy to the bus, for one gateway: cut, it keeps the connections and passes nothing on."""

    def __init__(self, port):
        self.target = ("127.0.0.1", port)
        self.cut = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(near,), daemon=True).start()

    def _relay(self, near):
        try:
            with near, socket.create_connection(self.target, timeout=5) as far:
                other = {near: far, far: near}
                while True:
                    while self.cut.is_set():
                        time.sleep(0.02)
                    for end in select.select(list(other), [], [], 0.1)[0]:
                        data = end.recv(65536)
                        while self.cut.is_set():
                            time.sleep(0.02)
                        if not data:
                            return
                        other[end].sendall(data)
        except OSError:
            pass  # either end is gone, and with it the other

    def close(self):
        self.listener.close()


class Nemesis:
    def __init__(self, stack, proxy):
        self.stack, self.proxy = stack, proxy

    # --- processes
    def pid(self, name):
        return int((self.stack.folder / "stack/run" / f"{name}.pid").read_text().split()[0])

    def family(self, pid):
        """The process, then its children: what is stopped first makes no more of them."""
        children = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                except OSError:
                    continue
                if int(parent) == pid:
                    children += self.family(int(entry.name))
        return [pid] + children

    def signal_family(self, name, number):
        os.kill(self.pid(name), number)
        for pid in self.family(self.pid(name))[1:]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    # --- faults
    def begin(self, down):
        if down.how == "kill":
            os.kill(self.pid(down.target), signal.SIGKILL)
        elif down.how == "stop":
            self.signal_family(down.target, signal.SIGSTOP)
        elif down.how == "cut":
            self.proxy.cut.set()

    def end(self, down):
        if down.how == "kill":
            self.stack.atrium("start", down.target, timeout=120)
        elif down.how == "stop":
            self.signal_family(down.target, signal.SIGCONT)
        elif down.how == "restart":
            self.stack.atrium("restart", down.target, timeout=120)
        elif down.how == "cut":
            self.proxy.cut.clear()
        down.ended = time.time()

    def run(self, name, history, late, quick=False):
        """Breaks, waits, mends. A pair is broken at once. `late` is called a moment before the mending; `quick`: what
        was killed is back before everyone has noticed."""
        parts = [part.split(":") for part in name.split("+")]
        fault = Fault(name, time.time())
        history.faults.append(fault)
        for how, target in parts:
            fault.downs.append(Down(target, how, time.time()))
            self.begin(fault.downs[-1])
        time.sleep(max(QUICK_S if quick and how == "kill" else HOLD_S[how] for how, _ in parts))
        late(fault)
        # Side by side, as a supervisor would: what is stopped goes on at once, what was killed is started.
        fault.ended = time.time()
        with concurrent.futures.ThreadPoolExecutor(len(fault.downs)) as pool:
            list(pool.map(self.end, fault.downs))
        return fault

    def calm(self):
        """Nothing stays stopped or cut, whatever happened."""
        self.proxy.cut.clear()
        for name in self.stack.status():
            try:
                self.signal_family(name, signal.SIGCONT)
            except (OSError, ValueError):
                pass
