"""A stand-in for Discord, GitHub and an OpenID provider at once: it checks what it is sent, signs by RS256, and fails or
lies when it is told to."""
import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import secrets
import threading
import time
import urllib.parse

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Provider:
    """`people` maps a code to whom it stands for; each is good once. Codes are bound to what the browser was sent with."""

    def __init__(self):
        self.rotate("k1")
        # What id_tokens say instead of what is true, how they are signed, and of what size answers are.
        self.lies, self.signing, self.padding_bytes = {}, "RS256", 0
        self.codes, self.tokens, self.seen = {}, {}, []
        self.hang, self.down = threading.Event(), False
        self.released = threading.Event()
        self.waiting = 0
        self.lock = threading.Lock()
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                provider.answer(self, b"")

            def do_POST(self):
                provider.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def rotate(self, kid):
        """A new key, and no other is published from here on."""
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.kid = self.said_kid = kid

    @contextlib.contextmanager
    def changed(self, **attributes):
        """For a while."""
        before = {name: getattr(self, name) for name in attributes}
        try:
            for name, value in attributes.items():
                setattr(self, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()

    def settings(self):
        """Of the auth service, for a stack that signs in here."""
        return {
            "DISCORD_CLIENT_ID": "dis", "DISCORD_CLIENT_SECRET": "dis secret", "DISCORD_API_BASE": self.url + "/discord",
            "DISCORD_REDIRECT_URI": "https://media.example/auth/discord/callback",
            "GITHUB_CLIENT_ID": "git", "GITHUB_CLIENT_SECRET": "git secret", "GITHUB_API_BASE": self.url + "/github",
            "GITHUB_TOKEN_URL": self.url + "/github/token",
            "OIDC_CONFIG": json.dumps({"acme": {"issuer": self.url, "client_id": "us", "client_secret": "s&e",
                                                "title": "Acme", "link_email": True}}),
        }

    def consent(self, location, **person):
        """What a browser does that was sent to `location`: its user says yes. The parameters that it comes back with."""
        asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query, strict_parsing=True))
        code = secrets.token_urlsafe(12)
        with self.lock:
            self.codes[code] = (asked, person)
        return {"code": code, "state": asked["state"]}

    def id_token(self, asked, person):
        now = int(time.time())
        claims = {"iss": self.url, "aud": "us", "iat": now, "exp": now + 300, "nonce": asked.get("nonce"), **person,
                  **{name: lie(now) if callable(lie) else lie for name, lie in self.lies.items()}}
        algorithm, _, with_key = self.signing.partition(" by ")
        head = b64(json.dumps({"alg": algorithm, "kid": self.said_kid}).encode())
        signed = f"{head}.{b64(json.dumps(claims).encode())}"
        return f"{signed}.{b64(self.signature(algorithm, with_key, signed.encode()))}"

    def signature(self, algorithm, with_key, signed):
        if algorithm == "none":
            return b""
        if algorithm == "HS256":  # as if the published key were a secret, or by our own password there
            pem = self.key.public_key().public_bytes(serialization.Encoding.PEM,
                                                     serialization.PublicFormat.SubjectPublicKeyInfo)
            return hmac.new(b"s&e" if with_key == "password" else pem, signed, hashlib.sha256).digest()
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048) if with_key == "another" else self.key
        return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())

    def token(self, kind, form, authorization):
        asked, person = self.codes.pop(form.get("code"), (None, None))
        client = {"discord": ("dis", "dis secret"), "github": ("git", "git secret"), "acme": ("us", "s&e")}[kind]
        given = (form.get("client_id"), form.get("client_secret"))
        if authorization:
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
            given = tuple(urllib.parse.unquote(part) for part in pair)
        challenge = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (not asked or given != client or form["grant_type"] != "authorization_code"
                or form["redirect_uri"] != asked["redirect_uri"] or asked["client_id"] != client[0]
                or asked.get("code_challenge", challenge) != challenge):
            return 400, {"error": "invalid_grant"}
        token = secrets.token_urlsafe(12)
        self.tokens[token] = person
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 60}
        if kind == "acme":
            answer["id_token"] = self.id_token(asked, person)
        return 200, answer

    def route(self, path, form, headers):
        person = self.tokens.get(headers.get("Authorization", "").removeprefix("Bearer "))
        numbers = self.key.public_key().public_numbers()
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.url, "authorization_endpoint": self.url + "/authorize",
                         "token_endpoint": self.url + "/token", "jwks_uri": self.url + "/keys"}
        if path == "/keys":
            return 200, {"keys": [{"kty": "RSA", "kid": self.kid, "alg": "RS256", "use": "sig", "n": number(numbers.n),
                                   "e": number(numbers.e)}]}
        if path in ("/token", "/discord/oauth2/token", "/github/token"):
            kind = {"/token": "acme"}.get(path, path.split("/")[1])
            return self.token(kind, form, headers.get("Authorization"))
        if path == "/discord/users/@me" and person is not None:
            return (200, person) if "id" in person else (500, {})
        if path == "/github/user" and person is not None:
            return 200, person
        if path == "/github/user/emails" and person is not None:
            return 200, []
        return 404, {}

    def answer(self, handler, body):
        with self.lock:
            self.seen.append(handler.path)
            self.waiting += 1
        if self.hang.is_set():
            self.released.wait(60)
        form = dict(urllib.parse.parse_qsl(body.decode()))
        with self.lock:
            self.waiting -= 1
            status, answer = (503, {}) if self.down else self.route(handler.path, form, handler.headers)
        data = json.dumps({**answer, "padding": "x" * self.padding_bytes} if self.padding_bytes else answer).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        with contextlib.suppress(ConnectionError):  # who reads no further has his reasons
            handler.wfile.write(data)
