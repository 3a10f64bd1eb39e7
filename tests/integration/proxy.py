"""A real proxy before the gateways: Debian's caddy, with the settings that docs/limits.md asks of any."""
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile

from polling import poll

CONFIG = """{{
	admin off
	auto_https off
	servers {{
		max_header_size 8KB
	}}
}}

http://:{port} {{
	bind 127.0.0.1
	reverse_proxy {upstreams} {{
		# A gateway that stops says so on /readyz for GATEWAY_DRAIN_GRACE before it stops listening.
		health_uri /readyz
		health_interval 200ms
		health_timeout 5s
		# Not round_robin: with requests at the same time it may pass over the one that is healthy (2.6).
		lb_policy random
		lb_try_duration 3s
		lb_try_interval 50ms
		transport http {{
			# Shorter than GATEWAY_CONNECTION_TIMEOUT: only the proxy ends connections that wait.
			keepalive 30s
		}}
	}}
}}
"""


def free_port():
    """Below the ephemeral range."""
    for _ in range(200):
        port = random.randint(20000, 31999)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port")


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


class Caddy:
    def __init__(self, *urls):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="atrium-caddy-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        file = self.folder / "Caddyfile"
        file.write_text(CONFIG.format(port=self.port, upstreams=" ".join(u.removeprefix("http://") for u in urls)))
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)})
        poll(lambda: answers(self.port), what="caddy listens")

    def errors(self):
        return [line for line in (self.folder / "log").read_text(errors="replace").splitlines()
                if '"level":"error"' in line]

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
