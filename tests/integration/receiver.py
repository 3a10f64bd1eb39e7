"""A receiver of webhooks that trusts nobody: it verifies each message by the words of standardwebhooks.com, on its own."""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time


class Receiver:
    """On a port of its own. `answers`: statuses for the next messages, then 200; a number of seconds waits first."""

    def __init__(self):
        self.messages, self.answers, self.lock = [], [], threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    outer.messages.append((time.time(), self.path, dict(self.headers.items()), body))
                    answer = outer.answers.pop(0) if outer.answers else 200
                if isinstance(answer, str):
                    self.send_response(302)
                    self.send_header("Location", answer)
                else:
                    self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):  # pylint: disable=invalid-name
                with outer.lock:
                    outer.messages.append((time.time(), "GET " + self.path, {}, b""))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.address}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def to(self, path):
        with self.lock:
            return [m for m in self.messages if m[1] == path]


def verified(message, secret):
    """The body of a message whose signature is good; it must be young, too."""
    when, _, headers, body = message
    headers = {k.lower(): v for k, v in headers.items()}
    assert headers["content-type"] == "application/json"
    stamp = int(headers["webhook-timestamp"])
    assert abs(when - stamp) < 5 * 60
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{stamp}.".encode() + body
    good = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [s.split(",", 1) for s in headers["webhook-signature"].split(" ")]
    assert any(version == "v1" and hmac.compare_digest(good, value) for version, value in given), headers
    return headers["webhook-id"], json.loads(body)
