"""What media and transcode promise under faults: an upload never loses bytes that it acknowledged, what was complete is an
item, and a queued item becomes ready, once. Each writer resumes an upload of its own, with the offset that it is told."""
import pathlib
import random
import secrets
import subprocess
import tempfile
import threading
import time
from urllib.parse import urlparse

import auth_domain
import checker
from client import Client, op
from history import History

ITEMS_MAX = 3           # of each writer: making films takes processors; then it goes on with one that never ends
PIECES = 12             # of an upload that becomes an item
PIECE_BYTES = 4096
ENDLESS_BYTES = 1 << 30
TOKEN_S = 600  # a token is renewed well before its quarter of an hour is over
PAUSE_S = 0.1
# As the gateway waits for a data plane, GATEWAY_RELAY_ANSWER_TIMEOUT.
RELAY_S = 60.0
SETTLE_S = checker.RECOVERY_S * checker.PATIENCE + 60
# Work that was abandoned goes on soon, and as little of it as there can be.
SETTINGS = {"TRANSCODE_LEASE": "3s", "TRANSCODE_HEVC": "false", "TRANSCODE_PRESET": "ultrafast"}
TUS = {"Tus-Resumable": "1.0.0"}
# A second of film; the shortest that has all of it: video, sound, something for extras.
CLIP = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1", "-f", "lavfi", "-i", "sine=d=1", "-c:v", "libx264", "-preset",
        "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest")


def make_clip():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "clip.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *CLIP, str(path)], check=True)
        return path.read_bytes()


def another(clip):
    """The same film with a box that is skipped: equal content would be processed once."""
    size = max(PIECES * PIECE_BYTES - len(clip), 64)
    return clip + size.to_bytes(4, "big") + b"free" + secrets.token_bytes(size - 8)


class Upload:
    def __init__(self, path, media_id, data):
        self.path, self.media_id, self.data = path, media_id, data
        self.offset, self.doubtful = 0, False

    @property
    def length(self):
        return len(self.data) if self.data else ENDLESS_BYTES

    def piece(self):
        size = -(-self.length // PIECES) if self.data else PIECE_BYTES
        return self.data[self.offset:self.offset + size] if self.data else bytes(size)


class Writer:
    """One user, its requests at any of the gateways."""

    def __init__(self, history, gateways):
        self.http, self.gateways = Client(history, gateways), list(gateways)
        self.account, self.token, self.renew, self.uploads, self.upload = None, None, 0, [], None

    def anywhere(self):
        return random.choice(self.gateways)

    def sign_in(self, gateways):
        """Outside of the history: what auth promises is its own module's matter. False: not now."""
        caller = auth_domain.Caller(History(), gateways)
        self.account = self.account or caller.register()
        login = self.account and caller.login(self.account)
        if login:
            self.token, self.renew = login.token, time.monotonic() + TOKEN_S
        return bool(login)

    def create(self, data, gateway=None):
        asked = op("tus_create", "", gateway or self.anywhere(), RELAY_S, good=(201,), relayed="media")
        length = str(len(data) if data else ENDLESS_BYTES)
        said = self.http.call_raw(asked, "POST", "/media/upload/tus", self.token, None, {**TUS, "Upload-Length": length})
        if not asked.acknowledged:
            return None
        asked.key = said["Media-Id"]
        return Upload(urlparse(said["Location"]).path, asked.key, data)

    def ask(self, upload, gateway=None, kind="tus_head"):
        asked = op(kind, upload.media_id, gateway or self.anywhere(), RELAY_S, relayed="media")
        # 423: who wrote last and lost its answer is not done with it.
        asked.refused = (423,) if upload.doubtful else ()
        said = self.http.call_raw(asked, "HEAD", upload.path, self.token, None, TUS)
        if asked.acknowledged:
            asked.value = upload.offset = int(said["Upload-Offset"])
            upload.doubtful = False
        return asked.acknowledged

    def append(self, upload, gateway=None):
        """The next piece; its value is where the upload ends with it."""
        piece = upload.piece()
        last = upload.offset + len(piece) == upload.length
        asked = op("tus_complete" if last else "tus_append", upload.media_id, gateway or self.anywhere(), RELAY_S,
                   value=upload.offset + len(piece), good=(204,), relayed="media")
        # 423: who wrote before could not say that it was done with it, its database being away.
        asked.refused = (423,)
        said = self.http.call_raw(asked, "PATCH", upload.path, self.token, piece,
                                  {**TUS, "Content-Type": "application/offset+octet-stream",
                                   "Upload-Offset": str(upload.offset)})
        upload.doubtful = not asked.acknowledged
        if asked.acknowledged:
            upload.offset = int(said["Upload-Offset"])
        return asked.acknowledged

    def delete(self, upload, gateway):
        asked = op("tus_delete", upload.media_id, gateway, RELAY_S, good=(204,), relayed="media")
        self.http.call_raw(asked, "DELETE", upload.path, self.token, None, TUS)
        return asked.acknowledged

    def read_status(self, upload, kind="item", gateway=None):
        asked = op(kind, upload.media_id, gateway or self.anywhere(), safe=True)
        item = self.http.call(asked, "GET", f"/media/{upload.media_id}", token=self.token)
        if item:
            asked.value = item["status"]
        return asked.value if item else None

    def step(self, clip, gateways):
        if self.token and time.monotonic() > self.renew:
            self.sign_in(gateways)
        if self.upload is None:
            if self.sign_in(gateways):
                self.upload = self.create(another(clip) if len(self.uploads) < ITEMS_MAX else None)
        elif self.upload.doubtful or random.random() < 0.2:
            self.ask(self.upload)
        elif self.upload.offset < self.upload.length:
            self.append(self.upload)
        if self.upload and self.upload.offset == self.upload.length:
            self.uploads.append(self.upload)
            self.upload = None
        elif self.uploads and random.random() < 0.2:
            self.read_status(random.choice(self.uploads))


class Domain:
    """What run.py asks of each domain."""

    streams = ("EVT_MEDIA", "EVT_TRANSCODE")

    def __init__(self, stack, history, gateways):
        self.gateways, self.clip, self.stop = gateways, make_clip(), threading.Event()
        self.writers = [Writer(history, mine) for mine in (gateways, *({name: url} for name, url in gateways.items()))]
        self.threads = [threading.Thread(target=self.run, args=(writer,), daemon=True) for writer in self.writers]
        self.prober = None

    def run(self, writer):
        while not self.stop.wait(PAUSE_S):
            writer.step(self.clip, self.gateways)

    def start(self):
        for thread in self.threads:
            thread.start()

    def come_late(self, down):
        """Its links die with their login, which auth's module looks at."""

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        for writer in self.writers:
            if not writer.sign_in(self.gateways):
                continue
            if writer.upload:
                writer.upload.doubtful = False
                writer.ask(writer.upload)
            self.settle(writer)

    @staticmethod
    def settle(writer):
        """Waits until what was complete is through."""
        until = time.time() + SETTLE_S
        for upload in writer.uploads:
            while writer.read_status(upload) not in ("ready", "failed") and time.time() < until:
                time.sleep(0.5)
            writer.read_status(upload, "settled")

    def works(self, gateway):
        """An upload begins, grows and is given up, outside of the history."""
        self.prober = self.prober or Writer(History(), self.gateways)
        if not self.prober.token and not self.prober.sign_in(self.gateways):
            return False
        upload = self.prober.create(None, gateway)
        done = bool(upload and self.prober.append(upload, gateway) and self.prober.ask(upload, gateway)
                    and self.prober.delete(upload, gateway))
        if not done:
            self.prober.token = None  # it may have been too old
        return done


def check_offsets(history):
    """An upload is never shorter than was acknowledged before it was asked, nor longer than what it was given."""
    given = {}
    for asked in history.ops:
        if asked.kind in ("tus_append", "tus_complete"):
            given.setdefault(asked.key, []).append(asked)
    for asked in history.ops:
        if asked.kind != "tus_head" or not asked.acknowledged:
            continue
        mine = given.get(asked.key, [])
        least = max((o.value for o in mine if o.acknowledged and o.end < asked.start), default=0)
        most = max((o.value for o in mine if o.start < asked.end), default=0)
        if asked.value < least:
            yield "upload went back", f"{asked.key}: {least} was acknowledged, {asked.value} is there"
        elif asked.value > most:
            yield "value from nowhere", f"{asked.key}: {asked.value} bytes, of {most}"


def check_items(history):
    """What was complete becomes ready."""
    settled = {asked.key: asked.value for asked in history.ops if asked.kind == "settled" and asked.acknowledged}
    for asked in history.ops:
        if asked.kind != "tus_complete" or not asked.acknowledged:
            continue
        if asked.key not in settled:
            yield "acknowledged write lost", f"item {asked.key}"
        elif settled[asked.key] != "ready":
            yield "not ready", f"item {asked.key}: {settled[asked.key]}"


def check_ready_stays(history):
    """A ready item does not fall back."""
    ready = {}
    for asked in sorted(history.ops, key=lambda o: o.start):
        if asked.kind in ("item", "settled") and asked.acknowledged:
            if asked.value != "ready" and ready.get(asked.key, float("inf")) < asked.start:
                yield "fell back", f"item {asked.key}: {asked.value}"
            elif asked.value == "ready":
                ready[asked.key] = min(ready.get(asked.key, float("inf")), asked.end)


def check_jobs_once(history):
    """Each job of an item has its result once."""
    seen = set()
    for event in history.events:
        if event.subject.startswith("evt.transcode.job.finished."):
            if (event.key, event.job) in seen:
                yield "job finished twice", f"{event.key} {event.job}"
            seen.add((event.key, event.job))


def check_uploaded(history):
    return checker.check_events_present(history, "tus_complete", "evt.media.item.uploaded.")


CHECKS = (check_offsets, check_items, check_ready_stays, check_jobs_once, check_uploaded)
