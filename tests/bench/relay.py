#!/usr/bin/python3
"""relay.py PORT: a gateway whose data plane is at PORT (an nginx), for measuring its relay alone. Prints its port and process
id, and serves until SIGTERM."""
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from edge import Edge  # noqa: E402 pylint: disable=wrong-import-position


def main():
    edge = Edge({"BYTES_BACKENDS": f"edge=127.0.0.1:{sys.argv[1]}"})
    try:
        edge.start()
        print(edge.port, edge.gateway.pid, flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    finally:
        edge.stop()


signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
main()
