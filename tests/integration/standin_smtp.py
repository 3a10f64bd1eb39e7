"""An SMTP server that keeps what it gets, in a thread of its own; with STARTTLS, and with manners that can be changed
while it runs."""
import base64
import email
import email.policy
import pathlib
import socketserver
import ssl
import subprocess
import threading

USER, PASSWORD = "atrium", "mail secret"


def make_certificate(folder):
    """A certificate for localhost that only its own file vouches for; and its key."""
    certificate, key = pathlib.Path(folder) / "smtp.crt", pathlib.Path(folder) / "smtp.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True, timeout=60)
    return certificate, key


class Received:
    def __init__(self, sender, recipients, data, encrypted, user):
        self.sender, self.recipients, self.encrypted, self.user = sender, recipients, encrypted, user
        self.data = data
        self.message = email.message_from_bytes(data, policy=email.policy.default)

    @property
    def text(self):
        return self.message.get_content()

    @property
    def token(self):
        return self.text.split("token=")[1].split()[0]


class Session(socketserver.StreamRequestHandler):
    timeout = 30

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")
        self.wfile.flush()

    def handle(self):
        self.encrypted, self.user = False, None
        self.say("220 stand-in ready")
        try:
            while line := self.rfile.readline():
                word = line.split()[0].upper().decode() if line.split() else ""
                if getattr(self, "on_" + word.lower(), self.on_other)(line.decode().rstrip("\r\n")):
                    return
        except OSError:
            return

    def on_other(self, line):
        self.say("502 not known here")

    def on_ehlo(self, line):
        lines = ["stand-in", "8BITMIME"]
        if self.server.offers_tls and not self.encrypted:
            lines.append("STARTTLS")
        if self.encrypted:
            lines.append("AUTH PLAIN")
        for i, text in enumerate(lines):
            self.say(f"250{' ' if i == len(lines) - 1 else '-'}{text}")

    def on_starttls(self, line):
        self.say("220 go ahead")
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
        self.encrypted = True

    def on_auth(self, line):
        words = line.split()
        given = words[2] if len(words) > 2 else None
        if given is None:
            self.say("334 ")
            given = self.rfile.readline().decode().strip()
        _, user, password = base64.b64decode(given).decode().split("\0")
        if (user, password) == (USER, PASSWORD):
            self.user = user
            self.say("235 welcome")
        else:
            self.say("535 who are you?")

    def on_mail(self, line):
        self.sender, self.recipients = line.split(":", 1)[1].split()[0], []
        self.say("250 fine")

    def on_rcpt(self, line):
        address = line.split(":", 1)[1].strip()
        if address.strip("<>") in self.server.unknown:
            self.say("550 nobody here of that name")
            return
        self.recipients.append(address)
        self.say("250 fine")

    def on_data(self, line):
        self.say("354 go on")
        data = b""
        while (part := self.rfile.readline()) != b".\r\n":
            if not part:
                return True
            data += part[1:] if part.startswith(b".") else part
        if self.server.busy:
            self.say("451 not now")
            return None
        self.server.keep(Received(self.sender, self.recipients, data, self.encrypted, self.user))
        self.say("250 taken")
        return None

    def on_quit(self, line):
        self.say("221 bye")
        return True


class StandinSmtp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, certificate, key, port=0):
        super().__init__(("127.0.0.1", port), Session)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificate, key)
        self.offers_tls, self.busy, self.unknown = True, False, set()
        self.lock, self.mails = threading.Lock(), []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def keep(self, received):
        with self.lock:
            self.mails.append(received)

    def to(self, address):
        """What came for this address, the oldest first."""
        with self.lock:
            return [m for m in self.mails if m.recipients == [f"<{address}>"]]

    def handle_error(self, request, client_address):
        """A client that goes, as it does when it wants TLS and there is none, is no news."""

    def stop(self):
        self.shutdown()
        self.server_close()
