"""Bringing bytes to media, as clients do, and looking at what is there."""
import base64
import hashlib
import os
import pathlib
import signal
import subprocess
import sys

import psycopg2
from polling import poll

TUS = {"Tus-Resumable": "1.0.0"}
OFFSET = {**TUS, "Content-Type": "application/offset+octet-stream"}


def metadata(**pairs):
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}".strip() for k, v in pairs.items())


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Uploads:
    """One user's."""

    def __init__(self, api, token):
        self.api = api
        self.token = token

    def sign(self, filename="a.bin", **fields):
        return self.api.post("/media/upload/sign", {"filename": filename, **fields}, self.token)

    def confirm(self, media_id, **fields):
        return self.api.post("/media/upload/confirm", {"media_id": media_id, **fields}, self.token)

    def put(self, url, data, **headers):
        return self.api.session.put(url, data=data, headers={k.replace("_", "-"): v for k, v in headers.items()},
                                    timeout=60)

    def item(self, media_id):
        """Its row as lists show it, since that is there for every state."""
        for item in self.api.get("/media?page_size=100", self.token).json()["items"]:
            if item["id"] == media_id:
                return item
        return None

    def create(self, length=None, data=None, headers=None, **pairs):
        """A new tus upload."""
        all_headers = {**(OFFSET if data is not None else TUS), **(headers or {})}
        if length is not None:
            all_headers["Upload-Length"] = str(length)
        if pairs:
            all_headers["Upload-Metadata"] = metadata(**pairs)
        return self.api.call("POST", "/media/upload/tus", self.token, headers=all_headers, data=data)

    def head(self, url, **headers):
        return self.api.session.head(url, headers={**TUS, **headers}, timeout=30)

    def patch(self, url, offset, data, headers=None):
        return self.api.session.patch(url, data=data, timeout=60,
                                      headers={**OFFSET, "Upload-Offset": str(offset), **(headers or {})})

    def delete(self, url):
        return self.api.session.delete(url, headers=TUS, timeout=30)


class Database:
    """Media's own tables, on a private stack."""

    def __init__(self, stack):
        self.connection = psycopg2.connect(host="127.0.0.1", port=stack.ports["PG_PORT"], user="atrium", dbname="atrium",
                                           password=stack.secret("db_atrium"),
                                           options="-c search_path=media")
        self.connection.autocommit = True

    def rows(self, sql, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchall() if cursor.description else None

    def reserved(self, user_id):
        rows = self.rows("SELECT reserved_bytes FROM media.owner WHERE owner_id = %s", int(user_id))
        return rows[0][0] if rows else 0

    def used(self, user_id):
        rows = self.rows("SELECT used_bytes FROM media.owner WHERE owner_id = %s", int(user_id))
        return rows[0][0] if rows else 0

    def original(self, media_id):
        """Key and digest of what an item has."""
        return self.rows("SELECT object_key, encode(sha256, 'hex') FROM media.item WHERE id = %s", media_id)[0]

    def close(self):
        self.connection.close()


def stored(stack, key):
    """The path of an object, with the driver fs."""
    return pathlib.Path(stack.environment["ATRIUM_DIR"]) / "blobs/objects" / key


def kill(stack, name):
    """As power loss does; comes back by start()."""
    pid = stack.status()[name]["pid"]
    os.kill(pid, signal.SIGKILL)
    poll(lambda: not pathlib.Path(f"/proc/{pid}").exists() or
         pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z", what=f"{name} to be gone")


def start(stack, name):
    stack.atrium("start", name)
    poll(lambda: stack.status()[name]["ready"], 30, f"{name} to be ready")


TUSPY = """
import sys
from tusclient import client
from tusclient.storage import filestorage
url, token, path, storage, chunk = sys.argv[1:6]
c = client.TusClient(url, headers={"Authorization": "Bearer " + token})
u = c.uploader(path, chunk_size=int(chunk), metadata={"filename": "film.bin"}, store_url=True,
               url_storage=filestorage.FileStorage(storage), retries=10, retry_delay=1)
print("offset", u.offset, flush=True)
while u.offset < u.stop_at:
    u.upload_chunk()
    print("offset", u.offset, flush=True)
print("url", u.url, flush=True)
"""


def tuspy(url, token, path, storage, chunk_bytes):
    """The client of somebody else, as a process that can be killed."""
    return subprocess.Popen([sys.executable, "-c", TUSPY, url + "/media/upload/tus", token, str(path), str(storage),
                             str(chunk_bytes)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process, seconds=120):
    """What it printed, once it is through."""
    out, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    return out
