#!/usr/bin/env python3
"""A soak: calls come and go for half an hour, and what the node holds must stay flat.

The vendors and the carrier run in processes of their own. One wave of calls follows the other; some callers interrupt. In
the second after the last call of a wave the node's descriptors and tasks must be back at what they were between the waves
before. Memory between the waves is shown as a line that was fitted to all waves but the first fifth, in which caches fill.

Exits 1 if descriptors or tasks were not back, or if a call did not end by itself.
"""

import statistics
import sys
import time

import rig
from density import Process

LINES = {
    "key": "I lost the key of my room.",
    "parking": "How much does parking cost?",
    "rooms": "Tell me everything about the rooms and the prices.",
    "towels": "We need two more towels.",
}
PLAYS = ["rooms", "key@1500", "parking", "towels"]
LATENCIES_MS = {"deepgram": 80, "anthropic": 150, "cartesia": 60}
# A finished call leaves nothing within this.
SETTLING_SECONDS = 1
POLL_SECONDS = 0.05


class Held:
    """What a node holds at a moment."""

    def __init__(self, platform):
        node = Process(platform.process.pid)
        metrics = platform.metrics()
        self.calls = metrics.get("trunkline_calls_in_progress", 0)
        self.tasks = metrics["trunkline_tasks"]
        self.descriptors = node.descriptors()
        self.threads = node.threads()
        self.memory_mib = node.resident_mib()

    def is_within(self, other):
        return self.calls == 0 and self.tasks <= other.tasks and self.descriptors <= other.descriptors


def settle(platform, idle):
    """Waits until the node holds no more than when idle; how long that took, or None if it took too long."""
    began = time.monotonic()
    while True:
        held, waited = Held(platform), time.monotonic() - began
        if held.is_within(idle):
            return held, waited
        if waited > SETTLING_SECONDS:
            return held, None
        time.sleep(POLL_SECONDS)


def slope(points):
    """What a line through these points rises by for each unit of x."""
    return statistics.linear_regression(*zip(*points)).slope


def main():
    parser = rig.arguments("Calls come and go; memory, tasks and descriptors stay flat.")
    parser.add_argument("--minutes", type=float, default=30, help="[30]")
    parser.add_argument("--at-once", type=int, default=20, help="calls of a wave [20]")
    rig.add_path_arguments(parser)
    options = parser.parse_args()
    platform = rig.Platform(rig.binary(options.bin), options.out / "soak", LINES,
                            LATENCIES_MS).with_vendors_apart().on_path(options)
    with platform:
        # Connections that are kept, such as those to the vendors' HTTP APIs, are there after the first calls.
        platform.call(PLAYS, options.at_once, options.at_once)
        time.sleep(SETTLING_SECONDS)
        idle, began = Held(platform), time.monotonic()
        print(f"idle: {idle.memory_mib:.1f} MiB, {idle.tasks:.0f} tasks, {idle.descriptors} descriptors, {idle.threads} threads")
        print(f"{'min':>5}{'calls':>7}{'MiB':>8}{'tasks':>7}{'descr.':>7}{'settled':>9}  ended", flush=True)
        calls, failed, memory, settled = 0, [], [], []
        while time.monotonic() - began < options.minutes * 60:
            reports = platform.call(PLAYS, options.at_once, options.at_once)
            held, waited = settle(platform, idle)
            calls += len(reports)
            minutes = (time.monotonic() - began) / 60
            ended = sorted({report["ended"]["how"] for report in reports})
            print(f"{minutes:5.1f}{calls:7}{held.memory_mib:8.1f}{held.tasks:7.0f}{held.descriptors:7}"
                  f"{'late' if waited is None else format(waited, '8.2f') + 's':>9}  {','.join(ended)}", flush=True)
            memory.append((minutes, held.memory_mib))
            if waited is None:
                failed.append(f"after {calls} calls: {held.tasks:.0f} tasks, {held.descriptors} descriptors, {held.calls:.0f} calls")
            else:
                settled.append(waited)
            if ended != ["script_done"]:
                failed.append(f"after {calls} calls: {ended}")
        flat = memory[len(memory) // 5:]
        growth = slope(flat) if len(flat) > 1 else float("nan")
        print(f"calls={calls} settled_max={max(settled, default=0):.2f}s memory {memory[0][1]:.1f} -> {memory[-1][1]:.1f} MiB, "
              f"{growth * 1024:+.0f} KiB a minute, {growth * 1024 * (flat[-1][0] - flat[0][0]) / max(1, calls):+.2f} KiB a call")
        for line in failed:
            print("failed: " + line)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
