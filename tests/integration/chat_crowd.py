"""Many clients that come again after whatever breaks, people who post meanwhile, and a checker: what was answered 201, with
a read-back of what is unknown, against what each client saw over its socket alone."""
import asyncio
import contextlib
import json
import threading

import requests
import websockets

from api import Api
from chat_api import VIEW, Person, everybody
from chat_live import IDENTIFY, RESUME, Client
from polling import poll

RETRY_S = 0.1
PEOPLE_MAX = 25  # with as many sessions each as it takes
FRAMES_PER_S = 6000  # to all clients together: one thread of Python reads about 20,000, and others want the machine, too
LOOK_S = 0.05        # between two looks at all of them, for a look takes as long as some frames


class Follower(Client):
    """Stays connected: resumes at the next of its gateways, without end."""

    def __init__(self, clients, who, urls):
        super().__init__(clients, urls[0])
        self.who, self.urls, self.tries, self.ended, self.resumed = who, urls, 0, False, 0
        self.task = asyncio.run_coroutine_threadsafe(self._follow(), clients.loop)

    async def _follow(self):
        while not self.ended:
            # Its session begins at the gateway that will die, however often a busy machine makes it ask.
            url = self.urls[self.tries % len(self.urls) if self.session else 0]
            self.tries += 1
            try:
                await self._open(self.socket_url(url))
                await self.socket.send(self._first())
                await self.reader
            except (OSError, websockets.WebSocketException, asyncio.TimeoutError):
                pass
            await asyncio.sleep(RETRY_S)

    def _take(self, frame):
        self.resumed += frame.get("t") == "RESUMED"
        super()._take(frame)

    def _first(self):
        d = {"token": self.who.token}
        if self.session:
            d.update(session_id=self.session, seq=self.seq)
        return json.dumps({"op": RESUME if self.session else IDENTIFY, "d": d})

    def stop(self):
        self.ended = True
        super().stop()
        self.task.cancel()

    def messages(self):
        seen = {}
        for message in self.of("MESSAGE_CREATE"):
            seen.setdefault(message["channel_id"], []).append(message["id"])
        return seen


class Poster(threading.Thread):
    """One person who posts to one channel until told to stop. What was not answered is unknown, and read back later."""

    def __init__(self, who, channel, pause_s):
        super().__init__(daemon=True)
        self.who, self.channel, self.done, self.pause_s = who, channel, threading.Event(), pause_s
        self.posted, self.unknown = [], 0

    def run(self):
        number = 0
        while not self.done.wait(self.pause_s):
            number += 1
            try:
                answer = self.who.api.call("POST", f"/api/v1/channels/{self.channel['id']}/messages", self.who.token,
                                           json={"content": f"{self.who.name} {number}"}, timeout=10)
                if answer.status_code == 201:
                    self.posted.append(answer.json()["id"])
                else:
                    assert answer.status_code >= 500, answer.text
                    self.unknown += 1
            except requests.RequestException:
                self.unknown += 1


class Crowd:
    """A guild with three channels; every second one may not view the last. `urls[0]` is the gateway that will die."""

    def __init__(self, clients, urls, size):
        self.clients, self.urls = clients, urls
        self.safe = Api(urls[-1])
        self.owner = Person(self.safe)
        self.people = [Person(self.safe) for _ in range(min(size, PEOPLE_MAX))]
        self.guild = self.owner.guild("Crowd")
        everybody(self.guild, self.owner, *self.people)
        self.channels = [next(c for c in self.owner.channels(self.guild) if c["type"] == 0),
                         self.owner.channel(self.guild, "second"), self.owner.channel(self.guild, "hidden")]
        staff = self.owner.role(self.guild, "Staff")
        self.owner.override(self.channels[2], self.owner.everyone(self.guild), deny=VIEW)
        self.owner.override(self.channels[2], staff, allow=VIEW)
        self.staff = self.people[::2]
        for who in self.staff:
            self.owner.call("PUT", f"/guilds/{self.guild['id']}/members/{who.id}/roles/{staff['id']}")
        # Three of four come again wherever somebody answers, the fourth waits for the gateway that it knows.
        self.followers = [Follower(clients, self.people[i % len(self.people)],
                                   urls[:1] if i % 4 == 3 else [urls[0], *urls[1:]]) for i in range(size)]
        self.await_all(lambda f: f.session, 60, "READY")
        pause_s = len(self.channels) * size / FRAMES_PER_S
        self.posters = [Poster(Person.at(self.owner, Api(urls[-1])), channel, pause_s) for channel in self.channels]

    def await_all(self, condition, seconds, what):
        def all_do():
            left = [i for i, f in enumerate(self.followers) if not condition(f)]
            some = [(i, self.followers[i].tries, self.followers[i].code, self.followers[i].frames[-2:]) for i in left[:3]]
            assert not left, f"{len(left)} clients do not; number, tries, code, frames: {some}"
            return True

        poll(all_do, seconds, what, LOOK_S)

    def begin(self):
        for poster in self.posters:
            poster.start()

    def posted(self):
        return sum(len(poster.posted) for poster in self.posters)

    def await_posts(self, count, seconds=60):
        goal = self.posted() + count
        poll(lambda: self.posted() >= goal, seconds, f"{count} more posts")

    def finish(self):
        for poster in self.posters:
            poster.done.set()
        for poster in self.posters:
            poster.join()

    def truth(self):
        """All that stands in each channel, oldest first; what was answered 201 is among it."""
        truth = {}
        for poster in self.posters:
            ids, before = [], None
            while True:
                page = self.owner.history(self.channels[self.posters.index(poster)], limit=100,
                                          **({"before": before} if before else {}))
                if not page:
                    break
                ids += [m["id"] for m in page]
                before = page[-1]["id"]
            truth[poster.channel["id"]] = ids[::-1]
            missing = set(poster.posted) - set(ids)
            assert not missing, f"answered 201 and gone: {sorted(missing)[:5]}"
        return truth

    def check(self, seconds=60):
        """Each client saw each message that it may, once, in order, over its socket; and no READY filled a gap."""
        truth = self.truth()
        hidden = self.channels[2]["id"]
        wanted = {who.id: {c: ids for c, ids in truth.items() if ids and (c != hidden or who in self.staff)}
                  for who in self.people}
        with contextlib.suppress(AssertionError):  # it is told below what is missing then
            poll(lambda: all(sum(map(len, f.messages().values())) >= sum(map(len, wanted[f.who.id].values()))
                             for f in self.followers), seconds, "all messages", LOOK_S)
        wrong = [f"client {i}: {self.differs(f.messages(), wanted[f.who.id])}"
                 for i, f in enumerate(self.followers) if f.messages() != wanted[f.who.id]]
        wrong += [f"client {i}: {len(f.of('READY'))} READY" for i, f in enumerate(self.followers) if len(f.of("READY")) != 1]
        for i, f in enumerate(self.followers):
            numbers = [frame["s"] for frame in f.frames if frame["op"] == 0]
            if numbers != sorted(numbers):
                wrong.append(f"client {i}: numbers go back")
        assert not wrong, f"{len(wrong)} of {len(self.followers)}: " + "; ".join(wrong[:5])
        return truth

    @staticmethod
    def differs(seen, wanted):
        said = []
        for channel in sorted(set(seen) | set(wanted)):
            got, want = seen.get(channel, []), wanted.get(channel, [])
            if got != want:
                twice = len(got) - len(set(got))
                said.append(f"{channel}: {len(want)} wanted, {len(set(want) - set(got))} missing, {twice} twice, "
                            f"{len(set(got) - set(want))} not for it, in order: {got == sorted(got, key=int)}")
        return ", ".join(said)
