#!/usr/bin/python3
"""fanout.py CLIENT ROUNDS: measures what fan-out reaches, by the echo service and one gateway. Prints names and values."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
from realtime import Realtime  # noqa: E402 pylint: disable=wrong-import-position

SOCKETS, DISPATCHES, SPREAD, IDLE = 300, 3200, 500, 5000


def memory_kib(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def cpu_s(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main():
    client, rounds = sys.argv[1], int(sys.argv[2])
    world = Realtime(1, {"GATEWAY_SOCKETS_PER_ADDRESS": "10000", "LOG_LEVEL": "warn"})

    def measure(*words):
        return subprocess.run([client, words[0], str(world.ports[0]), *map(str, words[1:])], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.split()

    def show(name, value):
        print(name, f"{value:.2f}", flush=True)

    try:
        world.start()
        gateway = world.processes["gateway0"].pid
        # First, while nothing is left of earlier rounds.
        before = memory_kib(gateway)
        with subprocess.Popen([client, "idle", str(world.ports[0]), str(IDLE)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as idle:
            assert idle.stdout.readline() == "ready\n"
            show("idle_mib", (memory_kib(gateway) - before) / 1024)
            show("idle_all_mib", memory_kib(gateway) / 1024)
            idle.stdin.close()
        for _ in range(rounds):
            spent = cpu_s(gateway)
            rate = float(measure("rate", SOCKETS, DISPATCHES)[0])
            show("rate", rate)
            show("cpu_us", (cpu_s(gateway) - spent) * 1e6 / (SOCKETS * DISPATCHES))
            p50, p99, most = (int(us) / 1000 for us in measure("latency", SOCKETS, SPREAD))
            show("p50_ms", p50)
            show("p99_ms", p99)
            show("max_ms", most)
    finally:
        world.stop()


main()
