#!/usr/bin/python3
"""What the bench of events asks of the public API itself (events.sh has the rest).

events.py load URL COUNT    hands in COUNT events by batches, as a job with progress; prints events a second, and how many
                            were created, known already, left for review and refused
events.py keyed URL COUNT   one write after the other, each with a key of its own; prints median and p95 in ms
events.py paths URL lists|events    paths to ask for: lists with two filters, single events
events.py time URL PATH COUNT   GETs one after the other; prints median and p95 in ms, and the bytes of one answer
The key is in the environment (BENCH_KEY); BENCH_SEED makes other events."""
import datetime
import http.client
import json
import os
import queue
import random
import statistics
import sys
import threading
import time
import urllib.parse

BATCH = 100
SEED = int(os.environ.get("BENCH_SEED", "7"))
PATHS_LISTS, PATHS_EVENTS = 40, 1000
AT_ONCE = 6  # batches that wait or are worked off
PLACES, TOWNS, ORGANIZERS, WORDS = 500, 20, 300, 3000
DOMAINS = ("arts", "music", "culture", "sports", "community", "education", "general")
KINDS = ("Hall", "Theatre", "Library", "Gallery", "Arena", "Church", "Park", "School")
SAME_EVERY = 25  # each of so many is handed in a second time, by another source


class World:
    """The same for the same seed: words by Zipf's law, places in towns, who organises."""

    def __init__(self, seed):
        self.seed, self.random = seed, random.Random(seed)
        syllables = [c + v for c in "bcdfghklmnprstvz" for v in ("a", "e", "i", "o", "u", "ai", "ou")]
        self.words = ["".join(self.random.choices(syllables, k=self.random.choice((2, 3, 3, 4)))) for _ in range(WORDS)]
        self.weights = [1 / (n + 5) for n in range(WORDS)]
        self.towns = [word.title() for word in self.pick(TOWNS, even=True)]
        self.places = [self.place(n) for n in range(PLACES)]
        self.organizers = [" ".join(self.pick(2, even=True)).title() + " Society" for _ in range(ORGANIZERS)]
        self.start = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
        self.last = None

    def pick(self, count, even=False):
        return self.random.choices(self.words, None if even else self.weights, k=count)

    def place(self, n):
        town = n % TOWNS
        return {"name": " ".join(self.pick(2, even=True)).title() + " " + self.random.choice(KINDS),
                "streetAddress": f"{1 + n} Main Street", "addressLocality": self.towns[town], "addressRegion": "ON",
                "postalCode": "M5V 1A1", "addressCountry": "CA", "latitude": round(43 + town / 20 + n / 9000, 5),
                "longitude": round(-80 + town / 15 + n / 7000, 5)}

    def text(self):
        sentences = (" ".join(self.pick(self.random.randint(6, 14))).capitalize() + "." for _ in range(6))
        return " ".join(sentences)

    def again(self, n):
        return dict(self.last, source={"url": f"https://other.test/{n}", "eventId": f"other-{self.seed}-{n}"})

    def event(self, n):
        start = self.start + datetime.timedelta(days=1, minutes=15 * self.random.randrange(1, 32000))
        self.last = {
            "name": " ".join(self.pick(self.random.randint(3, 5), even=True)).title(), "description": self.text(),
            "startDate": start.isoformat(),
            "endDate": (start + datetime.timedelta(minutes=self.random.choice((60, 90, 120, 180)))).isoformat(),
            "location": self.random.choice(self.places), "organizer": {"name": self.random.choice(self.organizers)},
            "eventDomain": self.random.choice(DOMAINS), "keywords": self.pick(3), "image": f"https://pictures.test/{n}.jpg",
            "url": f"https://events.test/{n}", "inLanguage": "en",
            "offers": {"price": self.random.choice((0, 0, 12, 25, 60)), "priceCurrency": "CAD"},
            "source": {"url": f"https://source.test/{n}", "eventId": f"event-{self.seed}-{n}"}}
        return self.last


class Api:
    """One connection."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        self.headers = {"Authorization": "Bearer " + os.environ["BENCH_KEY"], "Content-Type": "application/json"}

    def ask(self, method, path, body=None, **headers):
        self.connection.request(method, path, body, self.headers | headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def want(self, wanted, method, path, body=None, **headers):
        status, answer = self.ask(method, path, body, **headers)
        if status not in wanted:
            sys.exit(f"{method} {path}: {status} {answer[:300]!r}")
        return answer


def work_off(url, batches, counts, lock):
    """One batch at a time, until there is none."""
    api = Api(url)
    while True:
        body = batches.get()
        if body is None:
            return
        path = json.loads(api.want((202,), "POST", "/api/v1/events:batch", body))["status_url"]
        path = urllib.parse.urlsplit(path).path + "?wait=25"
        result = {"status": "processing"}
        while result["status"] == "processing":
            result = json.loads(api.want((200,), "GET", path))
        with lock:
            for name in ("created", "duplicates", "failed"):
                counts[name] += result[name]
            counts["review"] += sum(item.get("review", False) for item in result["results"])
            for item in result["results"]:
                if item["status"] == "failed":
                    print("refused:", item["error"], file=sys.stderr)


def load(url, count):
    world = World(SEED)
    bodies = []  # before the clock runs: to make one up takes a fifth of what its ingest takes
    for first in range(0, count, BATCH):
        bodies.append(json.dumps({"events": [world.again(n) if n % SAME_EVERY == SAME_EVERY - 1 else world.event(n)
                                             for n in range(first, min(first + BATCH, count))]}))
    began = told = time.monotonic()
    counts, lock, batches = dict.fromkeys(("created", "duplicates", "review", "failed"), 0), threading.Lock(), queue.Queue(2)
    workers = [threading.Thread(target=work_off, args=(url, batches, counts, lock), daemon=True) for _ in range(AT_ONCE)]
    for worker in workers:
        worker.start()
    for body in bodies:
        while True:
            try:
                batches.put(body, timeout=1)
                break
            except queue.Full:
                if not all(worker.is_alive() for worker in workers):
                    sys.exit("a batch was not taken")
        if time.monotonic() - told > 10:
            told = time.monotonic()
            done = counts["created"] + counts["duplicates"] + counts["failed"]
            print(f"        {done} of {count} events, {done / (told - began):.0f} a second", file=sys.stderr)
    for _ in workers:
        batches.put(None)
    for worker in workers:
        worker.join()
    done = counts["created"] + counts["duplicates"] + counts["failed"]
    if done != count:
        sys.exit(f"{done} of {count} events became something")
    print(f"{count / (time.monotonic() - began):.0f}", *counts.values())


def told_ms(took):
    took.sort()
    print(f"{statistics.median(took) * 1e3:.2f} {took[len(took) * 95 // 100] * 1e3:.2f}", end="")


def keyed(url, count):
    api, world, took = Api(url), World(random.randrange(1 << 30)), []
    for n in range(count + 20):
        mark = f"{os.getpid()}-{n}"
        body = json.dumps(world.event(mark))
        began = time.perf_counter()
        api.want((201, 202), "POST", "/api/v1/events", body, **{"Idempotency-Key": f"bench-{mark}"})
        took.append(time.perf_counter() - began)
    told_ms(took[20:])  # not those that make connections and prepare statements
    print()


def timed(url, path, count):
    api, took, size = Api(url), [], 0
    for n in range(count + 5):
        began = time.perf_counter()
        size = len(api.want((200,), "GET", path))
        took.append(time.perf_counter() - began)
    told_ms(took[5:])
    print(f" {size}")


def paths(url, what):
    world = World(SEED)
    lists = [f"/api/v1/events?locality={town}&domain={domain}" for town in world.towns for domain in DOMAINS]
    world.random.shuffle(lists)
    if what == "lists":
        print("\n".join(lists[:PATHS_LISTS]))
        return
    api, found = Api(url), set()
    for path in lists[:PATHS_LISTS]:
        for item in json.loads(api.want((200,), "GET", path))["items"]:
            found.add(urllib.parse.urlsplit(item["@id"]).path.removeprefix("/events/"))
    print("\n".join(f"/api/v1/events/{ulid}" for ulid in sorted(found)[:PATHS_EVENTS]))


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    what, url, *rest = sys.argv[1:]
    if what == "load":
        load(url, int(rest[0]))
    elif what == "keyed":
        keyed(url, int(rest[0]))
    elif what == "paths":
        paths(url, rest[0])
    elif what == "time":
        timed(url, rest[0], int(rest[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
