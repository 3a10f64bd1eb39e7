"""The driver s3 as others see it: presigned URLs by curl, objects by awscli and rclone, signatures by botocore."""
import base64
import datetime
import hashlib
import os
import random
import subprocess
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

ENDPOINT = "http://" + os.environ["BLOB_TEST_S3"]
BUCKET = os.environ["BLOB_TEST_S3_BUCKET"]
STORE = os.environ["S3_STORE"]
# Nothing of the user's own settings for these clients.
AWS_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_"))},
    "AWS_ACCESS_KEY_ID": os.environ["BLOB_TEST_S3_KEY"],
    "AWS_SECRET_ACCESS_KEY": os.environ["BLOB_TEST_S3_SECRET"],
    "AWS_DEFAULT_REGION": "us-east-1",
}


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=300, **more).stdout


def store(*arguments, **environment):
    return run(STORE, *arguments, env={**os.environ, **environment}).decode().splitlines()


def curl(url, *arguments):
    """Status and body."""
    out = run("/usr/bin/curl", "-s", "--path-as-is", "-w", "\n%{http_code}", *arguments, url)
    body, status = out.rsplit(b"\n", 1)
    return int(status), body


def headers(lines):
    return [part for line in lines for part in ("-H", line)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "in"
    path.write_bytes(random.Random(1).randbytes(20 * 1024 * 1024 + 5))
    return path


def test_behaviours_of_both_drivers():
    out = subprocess.run([os.environ["S3_BLOB_TEST"]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600)
    assert out.returncode == 0, out.stdout.decode()
    assert b"RUN      ] an_upload_takes_many_sittings" in out.stdout
    assert out.stdout.count(b"test(s) run") == 2


def test_presigned_put_takes_exactly_what_was_declared():
    body = b"hello presigned"
    digest = hashlib.sha256(body).hexdigest()
    for key in ("signed/plain", "signed/a b+c&ä'();=%2F?#.txt"):
        url, *send = store("presign", "PUT", key, "900", "type=text/plain", f"length={len(body)}", f"sha256={digest}")
        assert send == ["Content-Type: text/plain",
                        "x-amz-checksum-sha256: " + base64.b64encode(hashlib.sha256(body).digest()).decode()]
        other = [send[0], "x-amz-checksum-sha256: " + base64.b64encode(bytes(32)).decode()]
        put = ("-X", "PUT", "--data-binary")
        assert curl(url, *put, body + b"!", *headers(send))[0] == 403
        assert curl(url, *put, body, *headers(["Content-Type: text/html", send[1]]))[0] == 403
        assert curl(url, *put, body, *headers(other))[0] == 403
        assert curl(url, *put, body, "-H", send[0])[0] == 403
        assert curl(url.replace("/signed/", "/signed2/"), *put, body, *headers(send))[0] == 403
        assert curl(url, *headers(send))[0] == 403
        assert curl(url, *put, body, *headers(send))[0] == 200
        assert curl(store("presign", "GET", key, "60")[0]) == (200, body)


def test_presigned_get_says_what_it_was_told(file):
    store("put", "signed/get", str(file), "video/mp4")
    disposition = "attachment; filename=\"a b.mp4\"; filename*=UTF-8''%C3%A4.mp4"
    url = store("presign", "GET", "signed/get", "60", "disposition=" + disposition)[0]
    head, body = run("/usr/bin/curl", "-s", "-i", "-r", "4-7", url).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 206") and body == file.read_bytes()[4:8]
    assert f"content-disposition: {disposition}".lower() in head.decode().lower()


def test_bad_urls_are_refused():
    url = store("presign", "GET", "signed/none", "60")[0]
    assert curl(url)[0] == 404
    assert curl(url[:-1] + ("0" if url[-1] != "0" else "1"))[0] == 403
    assert curl(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))[0] == 403
    assert curl(store("presign", "GET", "signed/none", "60", BLOB_TEST_S3_SECRET="wrong")[0])[0] == 403
    expired = url.replace(dict(urllib.parse.parse_qsl(url.split("?")[1]))["X-Amz-Date"], "20200101T000000Z")
    assert curl(expired)[0] == 403
    with pytest.raises(subprocess.CalledProcessError):
        store("presign", "GET", "signed/none", "604801")


def test_an_expired_url_is_refused():
    url = store("presign", "GET", "signed/none", "1")[0]
    for _ in range(600):
        status, body = curl(url)
        if status == 403:
            break
    assert status == 403, body


def test_parts_are_sent_by_clients(file):
    data = file.read_bytes()
    pieces = [data[:6 << 20], data[6 << 20:12 << 20], data[12 << 20:]]
    state, *urls = store("parts", "signed/parts", "3")
    for url, piece in reversed(list(zip(urls, pieces))):
        status = run("/usr/bin/curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-T", "-", "-H",
                     "Transfer-Encoding:", "-H", f"Content-Length: {len(piece)}", url, input=piece)
        assert status == b"200"
    count, size, etag = store("complete", state)[0].split()
    assert (count, int(size)) == ("3", len(data)) and etag.endswith("-3")
    assert curl(store("presign", "GET", "signed/parts", "60")[0]) == (200, data)


def test_awscli_and_rclone_read_what_we_wrote(file, tmp_path):
    key = "others/ä b+c/large.bin"
    size, etag, digest = store("put", key, str(file), "application/x-test")[0].split()
    assert digest == hashlib.sha256(file.read_bytes()).hexdigest() and etag.endswith("-3")
    run("/usr/bin/aws", "--endpoint-url", ENDPOINT, "s3", "cp", f"s3://{BUCKET}/{key}", str(tmp_path / "aws"),
        env=AWS_ENVIRONMENT)
    assert (tmp_path / "aws").read_bytes() == file.read_bytes()
    run("/usr/bin/rclone", "--config", "/dev/null", "copyto", f":s3:{BUCKET}/{key}", str(tmp_path / "rclone"),
        "--s3-provider", "Ceph", "--s3-env-auth", "--s3-endpoint", ENDPOINT, env=AWS_ENVIRONMENT)
    assert (tmp_path / "rclone").read_bytes() == file.read_bytes()


def test_we_read_what_awscli_wrote(file, tmp_path):
    run("/usr/bin/aws", "--endpoint-url", ENDPOINT, "s3", "cp", str(file), f"s3://{BUCKET}/others/from aws",
        env=AWS_ENVIRONMENT)
    store("get", "others/from aws", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == file.read_bytes()


def test_a_wrong_secret_is_our_own_fault(file):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        subprocess.run([STORE, "get", "signed/get", "/nonexistent"], check=True, stderr=subprocess.PIPE,
                       env={**os.environ, "BLOB_TEST_S3_SECRET": "wrong"})
    assert refused.value.stderr.startswith(b"INTERNAL: object store: 403")
    assert b"wrong" not in refused.value.stderr


# ------------------------------------------------------------------------------------------------ another signer

LETTERS = "abzABZ019-._~ /+%&=?#!'()*:;,@$ä€𝄞\"<>|"
NOW = datetime.datetime(2023, 11, 14, 22, 13, 20)


class Frozen(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW


def random_text(rng, least=0):
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(least, 12)))


def random_request(rng):
    query = {random_text(rng, 1): random_text(rng) for _ in range(rng.randint(0, 4))}
    values = {f"x-amz-meta-{i}": "  ".join(rng.choice(["a", "b c", "d"]) for _ in range(2)) for i in range(rng.randint(0, 3))}
    segments = [random_text(rng, 1).replace("/", "s").strip(".") or "x" for _ in range(rng.randint(1, 3))]
    return rng.choice(["GET", "PUT", "HEAD", "DELETE"]), "/b/" + "/".join(segments), query, values


def hex_line(method, path, digest, query, values):
    fields = [method, path, digest, str(len(query)), *(x for pair in query.items() for x in pair)]
    fields += [str(len(values)), *(x for pair in values.items() for x in pair)]
    return "\t".join(field.encode().hex() for field in fields)


def encoded(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def their_signatures(method, path, query, values, digest):
    credentials = botocore.credentials.Credentials("AKID", "a/secret+key")
    url = "http://store:9000" + encoded(path, "/-_.~")
    if query:
        url += "?" + "&".join(f"{encoded(k)}={encoded(v)}" for k, v in query.items())
    by_header = botocore.awsrequest.AWSRequest(method, url, headers={**values, "X-Amz-Content-SHA256": digest})
    botocore.auth.S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(by_header)
    by_query = botocore.awsrequest.AWSRequest(method, url, headers=values)
    botocore.auth.S3SigV4QueryAuth(credentials, "s3", "eu-central-1", 3600).add_auth(by_query)
    signature = dict(urllib.parse.parse_qsl(by_query.url.split("?")[1]))["X-Amz-Signature"]
    return by_header.headers["Authorization"].rsplit("Signature=")[1], signature


def test_random_requests_are_signed_as_botocore_signs_them(monkeypatch):
    monkeypatch.setattr(botocore.auth.datetime, "datetime", Frozen)
    rng = random.Random(4)
    digest = hashlib.sha256(b"").hexdigest()
    requests = [random_request(rng) for _ in range(500)]
    lines = []
    for method, path, query, values in requests:
        ours = {"Host": "store:9000", **values}
        dated = {**ours, "x-amz-date": "20231114T221320Z", "x-amz-content-sha256": digest}
        lines += [hex_line(method, path, digest, query, dated), hex_line(method, path, digest, query, ours)]
    out = run(STORE, "sign", input="\n".join(lines).encode() + b"\n").decode().splitlines()
    assert len(out) == 4 * len(requests)
    for i, request in enumerate(requests):
        header, query = their_signatures(*request, digest)
        assert out[4 * i].endswith("Signature=" + header), request
        assert out[4 * i + 3].endswith("X-Amz-Signature=" + query), request
