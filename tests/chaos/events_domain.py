"""What the commons of events promises under faults: an event that was acknowledged is in the change feed, once, and on the
bus; the feed's numbers have no gap and never go back, for who reads them meanwhile and for who reads them all at the end."""
import random
import threading
import time

import checker
from client import Client, op
from events_feed import Commons, cursor, happening, number
from history import History

PAUSE_S = 0.1
PAGE = 200
SETTLE_S = checker.RECOVERY_S * checker.PATIENCE


class Writer:
    """An agent: submits events, and follows the feed, trusting each page to begin where the last one ended."""

    def __init__(self, history, gateways, key):
        self.http, self.gateways, self.key = Client(history, gateways), list(gateways), key
        self.position = cursor(0)

    def submit(self, gateway=None):
        asked = op("submit", "", gateway or random.choice(self.gateways), timeout=10.0, good=(201,))
        answer = self.http.call(asked, "POST", "/api/v1/events", happening(days=random.randint(2, 600)), self.key)
        if answer:
            asked.key = answer["@id"].rsplit("/", 1)[1]
        return answer

    def page(self, kind="changes", gateway=None):
        asked = op(kind, "feed", gateway or random.choice(self.gateways), safe=True)
        page = self.http.call(asked, "GET", f"/api/v1/feeds/changes?entity=all&limit={PAGE}&since={self.position}")
        if page:
            asked.value = (number(self.position), [(c["sequence_number"], c["action"], c.get("event_ulid"))
                                                   for c in page["changes"]])
            self.position = page["next_cursor"]
        return page

    def step(self):
        if random.random() < 0.5:
            self.submit()
        else:
            self.page()


class Domain:
    """What run.py asks of each domain."""

    streams = ("EVT_EVENTS",)

    def __init__(self, stack, history, gateways):
        self.history, self.gateways, self.stop, self.prober = history, gateways, threading.Event(), None
        self.key = Commons(stack).key
        self.writers = [Writer(history, mine, self.key)
                        for mine in (gateways, *({name: url} for name, url in gateways.items()))]
        self.threads = [threading.Thread(target=self.run, args=(writer,), daemon=True) for writer in self.writers]

    def run(self, writer):
        while not self.stop.wait(PAUSE_S):
            writer.step()

    def start(self):
        for thread in self.threads:
            thread.start()

    def come_late(self, down):
        """Nothing here dies with a gateway that was away."""

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        reader, until = Writer(self.history, self.gateways, self.key), time.time() + SETTLE_S
        more = True
        while more and time.time() < until:
            page = reader.page("feed_read")
            more = page is None or page["has_more"]

    def works(self, gateway):
        """An event is submitted and the feed read, outside of the history."""
        self.prober = self.prober or Writer(History(), self.gateways, self.key)
        return bool(self.prober.submit(gateway) and self.prober.page(gateway=gateway))


def read_back(history):
    return [row for asked in history.ops if asked.kind == "feed_read" and asked.acknowledged for row in asked.value[1]]


def check_feed(history):
    """All that was acknowledged, once; numbers from 1, without a gap."""
    whole = read_back(history)
    numbers = [n for n, _, _ in whole]
    if numbers != list(range(1, len(numbers) + 1)):
        yield "gap in the feed", f"{len(numbers)} rows, the last is {numbers[-1:]}"
    created = [ulid for _, action, ulid in whole if action == "create" and ulid]
    if len(created) != len(set(created)):
        yield "change twice", f"{len(created) - len(set(created))} events"
    there = set(created)
    for asked in history.ops:
        if asked.kind == "submit" and asked.acknowledged and asked.key not in there:
            yield "acknowledged write lost", f"event {asked.key}"


def check_pages(history):
    """A page holds what the whole feed has between its first and its last number: nothing came before it afterwards."""
    whole = {n: (action, ulid) for n, action, ulid in read_back(history)}
    for asked in history.ops:
        if asked.kind != "changes" or not asked.acknowledged:
            continue
        since, rows = asked.value
        if [n for n, _, _ in rows] != list(range(since + 1, since + 1 + len(rows))):
            yield "gap in a page", f"behind {since}: {[n for n, _, _ in rows][:20]}"
        for n, action, ulid in rows:
            if whole.get(n) != (action, ulid):
                yield "number given twice", f"{n}: {action} {ulid}, at the end {whole.get(n)}"


def check_announced(history):
    return checker.check_events_present(history, "submit", "evt.events.event.created.")


CHECKS = (check_feed, check_pages, check_announced)
