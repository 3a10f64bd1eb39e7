"""What the tests of transcode need: fixtures made by ffmpeg, and the part of media played by hand."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import uuid

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from nats_client import Nats
from polling import poll
from stack import ROOT, Stack

FIXTURES = ROOT / "build/fixtures"
KINDS = {"FIRST": 1, "RENDITIONS": 2, "EXTRAS": 3}
TYPES = {"started": "JobStarted", "progressed": "JobProgressed", "finished": "JobFinished", "failed": "JobFailed"}


def make(name, *arguments, fallback=None):
    """A file by ffmpeg, kept from run to run."""
    path = FIXTURES / name
    if not path.exists():
        FIXTURES.mkdir(parents=True, exist_ok=True)
        part = FIXTURES / f"part-{uuid.uuid4().hex}-{name}"
        for attempt in filter(None, (arguments, fallback)):
            done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *attempt, str(part)], check=False,
                                  capture_output=True, text=True)
            if done.returncode == 0:
                break
        assert done.returncode == 0, done.stderr
        part.rename(path)
    return path


def written(name, content):
    path = FIXTURES / name
    FIXTURES.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def ffprobe(path):
    return json.loads(subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)],
                                     check=True, capture_output=True, text=True).stdout)


def messages():
    """The platform's messages, by the protos."""
    protos = sorted(str(p.relative_to(ROOT / "proto")) for d in ("transcode", "media")
                    for p in (ROOT / "proto/atrium" / d / "v1").glob("events.proto"))
    target = ROOT / "build/test/lab.pb"
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["protoc", f"-I{ROOT / 'proto'}", "-I/usr/include", "--include_imports", f"--descriptor_set_out={target}", *protos],
                   check=True)
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    for file in files.file:
        pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name))


class Item:
    def __init__(self, path, mime_type):
        self.id, self.path, self.mime_type, self.generation = str(uuid.uuid4()), path, mime_type, 1
        self.key = f"original/1/{self.id}/{path.name}"


class Lab:
    def __init__(self, stack):
        self.stack = stack
        self.blobs = stack.folder / "stack/blobs/objects"
        self.message = messages()
        self.media = Nats(stack.nats_url, "media", stack.secret("nats_media"))
        # As anyone outside does who wants to hear of it; the server was reloaded when this returns.
        self.ear = Nats(stack.nats_url, "lab", self._credential())
        self.ear.subscribe("evt.transcode.job.>")
        self.ear.flush()
        assert not self.ear.errors
        self.heard = []
        self.announced = 0  # when the latest item was

    def _credential(self):
        told = self.stack.atrium("bus", "user", "add", "lab", "--read", "evt.transcode.>")
        return next(line.split()[1] for line in told.splitlines() if line.startswith("password"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.media.close()
        self.ear.close()

    def _publish(self, verb, name, item):
        body = self.message(f"atrium.media.v1.{name}")(media_id=item.id, owner_id=1, generation=item.generation)
        if name == "ItemUploaded":
            body.s3_key, body.mime_type, body.size_bytes = item.key, item.mime_type, item.path.stat().st_size
            body.filename = item.path.name
        self.media.publish(f"evt.media.item.{verb}.{item.id}", body.SerializeToString(),
                           headers={"ce-id": str(uuid.uuid4()), "ce-type": f"atrium.media.item.{verb}", "ce-source": "//atrium/media",
                                    "ce-specversion": "1.0"})

    def upload(self, path, mime_type="", blocked=False):
        item = Item(path, mime_type)
        target = self.blobs / item.key
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "--sparse=always", str(path), str(target)], check=True)
        subprocess.run(["chmod", "-R", "a+rX", str(self.blobs / "original")], check=True)
        if blocked:
            # A file where the folder should be.
            self.derived(item).parent.parent.mkdir(parents=True, exist_ok=True)
            self.derived(item).parent.write_text("in the way", encoding="ascii")
        self.announce(item)
        return item

    def unblock(self, item):
        self.derived(item).parent.unlink()

    def announce(self, item):
        self.announced = time.monotonic()
        self._publish("uploaded", "ItemUploaded", item)

    def cancel(self, item):
        self._publish("cancelled", "ItemCancelled", item)

    def derived(self, item):
        return self.blobs / f"derived/{item.id}/{item.generation}"

    def text(self, item, name):
        return (self.derived(item) / name).read_text(encoding="utf-8")

    def events(self, item, name):
        while (message := self.ear.next(seconds=0.01)) is not None:
            verb = message.subject.split(".")[3]
            self.heard.append((TYPES[verb], self.message(f"atrium.transcode.v1.{TYPES[verb]}").FromString(message.body)))
        return [m for n, m in self.heard if n == name and m.media_id == item.id]

    def finished(self, item, kind, seconds=240):
        def look():
            done = [e for e in self.events(item, "JobFinished") if e.kind == KINDS[kind]]
            failed = [f for f in self.events(item, "JobFailed") if f.is_final]
            assert done or not failed or failed[-1].kind != KINDS[kind], failed
            return done
        return poll(look, seconds, f"{kind} of {item.path.name}")[0]

    def failed(self, item, seconds=60):
        return poll(lambda: [e for e in self.events(item, "JobFailed") if e.is_final], seconds, f"failure of {item.path.name}")[0]

    # --- its process
    def pid(self):
        return self.stack.status()["transcode"]["pid"]

    def kill(self):
        os.kill(self.pid(), signal.SIGKILL)

    def restart(self):
        self.stack.atrium("restart", "transcode")

    def work_dir(self):
        return pathlib.Path(self.stack.environment["TRANSCODE_DIR"])

    def children(self):
        """Command lines that name this stack's workshop."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.work_dir()).encode() in line:
                    found.append(line)
        return found

    def work_files(self):
        return [p for p in self.work_dir().rglob("*") if p.is_file() or len(p.relative_to(self.work_dir()).parts) > 1]


@contextlib.contextmanager
def open_lab(workshop, settings=None):
    """A stack of its own: its workshop is looked into, and its jobs give up soon."""
    stack = Stack(settings={"TRANSCODE_DIR": str(workshop), "TRANSCODE_ATTEMPTS": "2", "TRANSCODE_LEASE": "3s",
                            **(settings or {})})
    try:
        stack.up()
        stack.atrium("stop", "media")  # it would take away what is made of items that it does not know
        with Lab(stack) as opened:
            yield opened
    finally:
        stack.destroy()
