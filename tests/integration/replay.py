"""Plays the traces of traces/: see its README."""
import asyncio
import json
import pathlib
import re
import secrets

from chat_live import Client

TRACES = pathlib.Path(__file__).parent / "traces"
BROWSER = {"User-Agent": "Mozilla/5.0", "Content-Type": "application/json"}
SETTLE_TURNS = 200


class Replay:
    def __init__(self, api, clients, url, host):
        self.api, self.clients, self.url, self.host = api, clients, url, host
        self.names = {"run": secrets.token_hex(4)}
        self.browsers = {}  # a client each
        self.looked = {}    # how far its frames were looked at

    def play(self, name):
        steps = json.loads((TRACES / f"{name}.json").read_text())
        for number, step in enumerate(steps):
            try:
                self.step(step)
            except AssertionError as e:
                raise AssertionError(f"{name}.json, step {number} {json.dumps(step)[:200]}: {e}") from None

    def step(self, step):
        who = step.get("as", "me")
        if "http" in step:
            self.http(who, step)
        elif "open" in step:
            self.open(who)
        elif "say" in step:
            self.browsers[who].send(self.fill(step["say"]))
        elif "sees" in step:
            for pattern in step["sees"]:
                self.look(who, pattern)
        elif "has" in step:
            self.settle()
            for pattern in step["has"]:
                self.look(who, pattern, timeout=0)
        elif "sees_not" in step:
            self.settle()
            frames = self.browsers[who].frames[self.looked[who]:]
            for pattern in step["sees_not"]:
                assert not any(self.matches(pattern, frame, dict(self.names)) for frame in frames), (pattern, frames)
        elif "cut" in step:
            self.browsers[who].cut()
        else:
            raise ValueError(step)

    def http(self, who, step):
        method, path = self.fill(step["http"]).split(" ", 1)
        headers = {**BROWSER, "Host": self.host}
        if f"{who}.token" in self.names:
            headers["Authorization"] = f"Bearer {self.names[who + '.token']}"
        body = step.get("body")
        answer = self.api.call(method, path, headers=headers, data=json.dumps(self.fill(body)) if body is not None else None)
        assert answer.status_code == step.get("status", 200), (answer.status_code, answer.text)
        if "answer" in step:
            assert self.matches(step["answer"], answer.json(), self.names), answer.text

    def open(self, who):
        if who not in self.browsers:
            self.browsers[who] = Client(self.clients, self.url, host=self.host)
        self.looked[who] = len(self.browsers[who].frames)
        self.browsers[who].open()

    def settle(self):
        """What has reached this machine is read: nothing more is waited for."""
        async def turns():
            for _ in range(SETTLE_TURNS):
                await asyncio.sleep(0)
        self.clients.run(turns())

    def look(self, who, pattern, timeout=30):
        client = self.browsers[who]

        def find():
            for at in range(self.looked[who], len(client.frames)):
                names = dict(self.names)
                if self.matches(pattern, client.frames[at], names):
                    self.looked[who] = at + 1
                    self.names.update(names)
                    return True
            return False

        if timeout:
            client.wait(find, timeout, pattern)
        else:
            assert find(), f"not there yet: {pattern}, but {client.frames[self.looked[who]:]}"

    def fill(self, value):
        if isinstance(value, dict):
            return {k: self.fill(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        if isinstance(value, str) and value == "$seq":
            return self.browsers["me"].seq
        if isinstance(value, str):
            return re.sub(r"\$([\w.]+)", lambda m: str(self.names[m.group(1)]), value)
        return value

    def matches(self, pattern, value, names):
        if isinstance(pattern, dict):
            return isinstance(value, dict) and all(k in value and self.matches(p, value[k], names)
                                                   for k, p in pattern.items())
        if isinstance(pattern, list):
            if not isinstance(value, list):
                return False
            fixed = pattern[:-1] if pattern[-1:] == ["…"] else pattern
            if len(value) < len(fixed) or (fixed is pattern and len(value) != len(fixed)):
                return False
            return all(self.matches(p, v, names) for p, v in zip(fixed, value))
        if pattern == "*":
            return value is not None
        if isinstance(pattern, str) and re.fullmatch(r"\$[\w.]+", pattern):
            return isinstance(value, str) and names.setdefault(pattern[1:], value) == value
        if isinstance(pattern, str):
            return value == self.fill(pattern)
        return value == pattern and isinstance(value, bool) == isinstance(pattern, bool)
