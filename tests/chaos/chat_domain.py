"""What chat promises under faults: a message that was acknowledged is in its channel, once and in its place, and a guild has
its event. Each writer has a guild of its own. What live connections see is tests/integration/test_chat_resume.py's."""
import random
import threading
import time

import auth_domain
import checker
from client import Client, op
from history import History

PAUSE_S = 0.05
PAGE = 100
MESSAGES_MAX = 2000     # of each writer: they are read back at the end
SETTLE_S = checker.RECOVERY_S * checker.PATIENCE


class Writer:
    """One user, its requests at any of the gateways."""

    def __init__(self, history, gateways):
        self.http, self.gateways = Client(history, gateways), list(gateways)
        self.account, self.token, self.guild, self.channel, self.number = None, None, None, None, 0

    def anywhere(self):
        return random.choice(self.gateways)

    def sign_in(self, gateways):
        """Outside of the history: what auth promises is its own module's matter. False: not now."""
        caller = auth_domain.Caller(History(), gateways)
        self.account = self.account or caller.register()
        login = self.account and caller.login(self.account)
        self.token = login.token if login else None
        return bool(login)

    def ask(self, asked, method, path, body=None):
        answer = self.http.call(asked, method, "/api/v1" + path, body, self.token)
        if asked.status == 401:
            self.token = None  # it was too old
        return answer.get("data", answer) if isinstance(answer, dict) else answer

    def found_guild(self, gateway=None):
        asked = op("guild", "", gateway or self.anywhere(), good=(201,), refused=(401,))
        guild = self.ask(asked, "POST", "/guilds", {"name": "Chaos"})
        if guild:
            self.guild = asked.key = guild["id"]
        return guild

    def find_channel(self, gateway=None):
        asked = op("channels", self.guild, gateway or self.anywhere(), safe=True, refused=(401,))
        channels = self.ask(asked, "GET", f"/guilds/{self.guild}/channels")
        if channels:
            self.channel = next(c["id"] for c in channels if c["type"] == 0)
        return channels

    def post(self, gateway=None):
        self.number += 1
        asked = op("post", self.channel, gateway or self.anywhere(), value=self.number, good=(201,), refused=(401,))
        return self.ask(asked, "POST", f"/channels/{self.channel}/messages", {"content": str(self.number)})

    def page(self, before=None, kind="page", gateway=None):
        """Messages from newest to oldest; None when it could not be read."""
        asked = op(kind, self.channel, gateway or self.anywhere(), safe=True, refused=(401,))
        path = f"/channels/{self.channel}/messages?limit={PAGE}" + (f"&before={before}" if before else "")
        return self.ask(asked, "GET", path)

    def step(self, gateways):
        if not self.token:
            self.sign_in(gateways)
        elif not self.guild:
            self.found_guild()
        elif not self.channel:
            self.find_channel()
        elif self.number < MESSAGES_MAX and random.random() < 0.8:
            self.post()
        else:
            self.page()


class Domain:
    """What run.py asks of each domain."""

    streams = ("EVT_CHAT",)

    def __init__(self, stack, history, gateways):
        self.history, self.gateways, self.stop, self.prober = history, gateways, threading.Event(), None
        self.writers = [Writer(history, mine) for mine in (gateways, *({name: url} for name, url in gateways.items()))]
        self.threads = [threading.Thread(target=self.run, args=(writer,), daemon=True) for writer in self.writers]

    def run(self, writer):
        while not self.stop.wait(PAUSE_S):
            writer.step(self.gateways)

    def start(self):
        for thread in self.threads:
            thread.start()

    def come_late(self, down):
        """Nothing here dies with a gateway that was away."""

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for writer in self.writers:
            if writer.channel:
                self.read_back(writer)

    def read_back(self, writer):
        """All that is in the writer's channel, oldest first, as the value of one op."""
        until, found, before, page = time.time() + SETTLE_S, [], None, [None]
        while page and time.time() < until:
            if writer.token or writer.sign_in(self.gateways):
                page = writer.page(before, "read_back_page")
                found += page or []
                before = found[-1]["id"] if found else None
                page = [None] if page is None else page
        if not page:  # it came to the end
            whole = op("read_back", writer.channel, "", value=[int(m["content"]) for m in reversed(found)])
            whole.status, whole.start, whole.end = 200, time.time(), time.time()
            self.history.add(whole)

    def works(self, gateway):
        """A message is posted and read, outside of the history."""
        self.prober = self.prober or Writer(History(), self.gateways)
        p = self.prober
        if not p.token and not p.sign_in(self.gateways):
            return False
        if not p.channel and not ((p.guild or p.found_guild(gateway)) and p.find_channel(gateway)):
            return False
        return bool(p.post(gateway) and p.page(gateway=gateway))


def check_messages(history):
    """What was acknowledged is there; nothing is there twice, or without having been said; one writer's order is kept."""
    said = {}
    for asked in history.ops:
        if asked.kind == "post" and asked.key:
            said.setdefault(asked.key, []).append(asked)
    whole = {asked.key: asked.value for asked in history.ops if asked.kind == "read_back" and asked.acknowledged}
    for channel, posts in said.items():
        if channel not in whole:
            yield "not read back", f"channel {channel}"
            continue
        there = whole[channel]
        for number in {o.value for o in posts if o.acknowledged} - set(there):
            yield "acknowledged write lost", f"message {number} of channel {channel}"
        for number in set(there) - {o.value for o in posts}:
            yield "value from nowhere", f"message {number} of channel {channel}"
        if len(there) != len(set(there)):
            yield "message twice", f"channel {channel}"
        sure = [n for n in there if n in {o.value for o in posts if o.acknowledged}]
        if sure != sorted(sure):
            yield "out of order", f"channel {channel}: {sure[:20]}"


def check_guilds(history):
    return checker.check_events_present(history, "guild", "evt.chat.guild.created.")


CHECKS = (check_messages, check_guilds)
