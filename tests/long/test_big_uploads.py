"""Files of gigabytes: nothing in between may hold them."""
import hashlib
import pathlib
import threading
import time

import pytest
from api import Api
from stack import Stack
from uploads import Database, Uploads, finished, tuspy

GB = 1000 ** 3
# What a process may grow by while gigabytes pass: buffers and threads, no content.
GROWTH_MAX_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def stack():
    own = Stack(gateways=1, settings={"MEDIA_QUOTA": "0", "MEDIA_UPLOAD_MAX": "20G", "BLOB_MIN_FREE_BYTES": "0"})
    try:
        own.up()
        yield own
    finally:
        own.destroy()


class Memory:
    """How much gateway and media have resident at most, from a look twenty times a second."""

    def __init__(self, stack):
        self.pids = {name: stack.status()[name]["pid"] for name in ("gateway", "media")}
        self.before = self.now()
        self.most = dict(self.before)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def now(self):
        return {name: int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
                for name, pid in self.pids.items()}

    def watch(self):
        while not self.over.wait(0.05):
            for name, value in self.now().items():
                self.most[name] = max(self.most[name], value)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def check(self, what):
        for name, most in self.most.items():
            print(f"{what}: {name} had {self.before[name] / 1e6:.1f} MB resident before, {most / 1e6:.1f} MB at most")
            assert most - self.before[name] < GROWTH_MAX_BYTES


def sparse(path, size):
    """A file of that size with a few bytes here and there; its digest."""
    with open(path, "wb") as file:
        file.truncate(size)
        for at in range(0, size - 64, size // 7):
            file.seek(at)
            file.write(f"at {at}".encode())
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 22):
            digest.update(piece)
    return digest.hexdigest()


@pytest.fixture
def mine(stack):
    api = Api(stack.url)
    return Uploads(api, api.register()["access_token"])


def test_ten_gigabytes_by_tus_from_somebody_elses_client(stack, mine, tmp_path, capsys):
    path = tmp_path / "big.bin"
    digest = sparse(path, 10 * GB)
    began = time.monotonic()
    with Memory(stack) as memory:
        process = tuspy(stack.url, mine.token, path, tmp_path / "urls", 256 * 1024 * 1024)
        url = finished(process, 1800).split()[-1]
    took = time.monotonic() - began
    database = Database(stack)
    assert database.original(mine.head(url).headers["Media-Id"])[1] == digest
    database.close()
    with capsys.disabled():
        print(f"\n10 GB by tus: {took:.0f} s, {10 * GB / took / 1e6:.0f} MB/s")
        memory.check("10 GB by tus")


def test_five_gigabytes_in_and_out_in_one_request_each(stack, mine, tmp_path, capsys):
    path = tmp_path / "big.bin"
    digest = sparse(path, 5 * GB)
    signed = mine.sign("big.bin", size_bytes=5 * GB).json()
    with Memory(stack) as memory, open(path, "rb") as file:
        began = time.monotonic()
        assert mine.api.session.put(signed["upload_url"], data=file, timeout=1800).status_code == 200
        took = time.monotonic() - began
        assert mine.api.post("/media/upload/confirm", {"media_id": signed["media_id"]}, mine.token,
                             timeout=300).status_code == 200
    database = Database(stack)
    assert database.original(signed["media_id"])[1] == digest
    database.close()
    with capsys.disabled():
        print(f"\n5 GB by PUT: {took:.0f} s, {5 * GB / took / 1e6:.0f} MB/s")
        memory.check("5 GB by PUT")
    export = mine.api.post("/media/export", {"media_ids": [signed["media_id"]]}, mine.token).json()
    with Memory(stack) as memory:
        began, size = time.monotonic(), 0
        with mine.api.session.get(export["url"], stream=True, timeout=1800) as answer:
            for piece in answer.iter_content(1 << 20):
                size += len(piece)
        took = time.monotonic() - began
    assert size == export["size_bytes"]
    with capsys.disabled():
        print(f"5 GB exported: {took:.0f} s, {5 * GB / took / 1e6:.0f} MB/s")
        memory.check("5 GB exported")
