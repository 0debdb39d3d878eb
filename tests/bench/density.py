#!/usr/bin/env python3
"""What a call costs: N calls at once in real time through a whole node, the vendors and the carrier in processes of
their own.

  CPU      user and system time of the node's process while the calls last, less what it uses idle, per second of a call
  memory   the node's resident memory at its most, less what it had before, per call
  share    our own share of a turn, as turn_latency.py takes it apart
  late     how much later a frame came than the pace that the node had set in that stretch of speech

The calls hold ten turns each, half of them with a search. The knee is the most calls at once, of those that were tried, at
which every turn has a share, every call ended by itself, and the share's p99 is within its budget. Both cores carry the vendors and the caller as well: their part is shown too.
"""

import json
import os
import pathlib
import threading
import time

import rig
import turn_latency

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
IDLE_SECONDS = 5
SAMPLE_SECONDS = 0.25
SHARE_P99_BUDGET_MS = 10


class Process:
    """What the kernel counts of a process."""

    def __init__(self, pid):
        self.folder = pathlib.Path("/proc") / str(pid)

    def cpu_seconds(self):
        fields = (self.folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_SECONDS

    def status(self, name):
        for line in (self.folder / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise KeyError(name)

    def resident_mib(self):
        return self.status("RssAnon") / 1024

    def threads(self):
        return self.status("Threads")

    def descriptors(self):
        return len(os.listdir(self.folder / "fd"))


class Peak:
    """The most memory a process had while the block ran."""

    def __init__(self, process):
        self.process, self.most, self.over = process, 0, threading.Event()

    def __enter__(self):
        self.sampler = threading.Thread(target=self.sample)
        self.sampler.start()
        return self

    def sample(self):
        while not self.over.wait(SAMPLE_SECONDS):
            self.most = max(self.most, self.process.resident_mib())

    def __exit__(self, *_):
        self.over.set()
        self.sampler.join()


def at_once(platform, number, idle_cores):
    """Places so many calls and gives what they cost."""
    rig.say(f"{number} at once")
    node, vendors = Process(platform.process.pid), Process(platform.rehearsals.pid)
    memory, began = node.resident_mib(), time.monotonic()
    cpu, vendors_cpu, children = node.cpu_seconds(), vendors.cpu_seconds(), os.times()
    with Peak(node) as peak:
        reports = platform.call(turn_latency.LINES, number, number)
    elapsed = time.monotonic() - began
    cpu, vendors_cpu = node.cpu_seconds() - cpu - idle_cores * elapsed, vendors.cpu_seconds() - vendors_cpu
    caller = os.times().children_user + os.times().children_system - children.children_user - children.children_system
    seconds = sum((rig.at(report["ended_at"]) - rig.at(report["answered"])) / 1e6 for report in reports)
    rows, without = turn_latency.taken_apart(reports, platform)
    late = {}
    for report in reports:
        for ms, count in report["media_late_ms"].items():
            late[int(ms)] = late.get(int(ms), 0) + count
    return {
        "at_once": number,
        "call_seconds": round(seconds),
        "cpu_percent": 100 * cpu / seconds,
        "memory_mib": (peak.most - memory) / number,
        "share_ms": [row["own"] / 1000 for row in rows],
        "parts": rows,
        "turns": number * len(turn_latency.LINES),
        "without": without,
        "late_ms": late,
        "busy_cores": {"node": cpu / elapsed, "vendors": vendors_cpu / elapsed, "caller": caller / elapsed},
        "ended": sorted({report["ended"]["how"] for report in reports}),
    }


def of_counts(counts, share):
    """The smallest key that `share` of all that was counted does not exceed."""
    left = share * sum(counts.values())
    for key in sorted(counts):
        left -= counts[key]
        if left <= 0:
            return key
    return 0


def show(row):
    share = row["share_ms"]
    own = [rig.percentile(share, part) if share else float("nan") for part in (0.5, 0.99)]
    late = [of_counts(row["late_ms"], part) for part in (0.5, 0.99, 1)]
    busy = row["busy_cores"]
    print(f"{row['at_once']:6}{row['call_seconds']:8}{row['cpu_percent']:9.3f}{row['memory_mib']:9.2f}"
          f"{own[0]:9.1f}{own[1]:8.1f}{len(share):6}/{row['turns']:<5}"
          f"{late[0]:6}{late[1]:5}{late[2]:5}"
          f"{busy['node']:8.2f}{busy['vendors']:6.2f}{busy['caller']:6.2f}  {','.join(row['ended'])}", flush=True)
    if row["without"]:
        print("        without a share: " + ", ".join(f"{count} {why}" for why, count in sorted(row["without"].items())))
    return own[1] if len(share) == row["turns"] and row["ended"] == ["script_done"] else float("inf")


def main():
    parser = rig.arguments("What a call costs.")
    parser.add_argument("--steps", default="1,20,50,100", help="calls at once, one step after the other [1,20,50,100]")
    parser.add_argument("--beyond", type=int, default=0, help="after those, so many more each time until the knee [0: not]")
    rig.add_path_arguments(parser)
    options = parser.parse_args()
    platform = rig.Platform(rig.binary(options.bin), options.out / "density", turn_latency.LINES,
                            turn_latency.LATENCIES_MS).with_vendors_apart().on_path(options)
    with platform.with_agent(turn__preemptive=False, phrases__fillers=[]):
        path = f"{options.carrier}, {options.listening}, {options.voice}"
        print(f"cost of a call of {platform.binary}, {path}")
        platform.call(["parking", "key"])
        node = Process(platform.process.pid)
        before = node.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        idle_cores = (node.cpu_seconds() - before) / IDLE_SECONDS
        print(f"idle: {100 * idle_cores:.2f} % of a core, {node.resident_mib():.0f} MiB, {node.threads()} threads, "
              f"{node.descriptors()} descriptors")
        print(f"{'calls':>6}{'seconds':>8}{'% core':>9}{'MiB':>9}{'share p50':>9}{'p99':>8}{'turns':>12}"
              f"{'late p50':>6}{'p99':>3}{'max':>5}{'busy cores: node':>8}{'vend.':>6}{'call':>6}")
        steps, rows, knee = [int(step) for step in options.steps.split(",")], [], 0
        while steps:
            rows.append(at_once(platform, steps.pop(0), idle_cores))
            if show(rows[-1]) <= SHARE_P99_BUDGET_MS:
                knee = max(knee, rows[-1]["at_once"])
                if not steps and options.beyond:
                    steps.append(rows[-1]["at_once"] + options.beyond)
        print(f"knee: {knee} calls at once (share p99 <= {SHARE_P99_BUDGET_MS} ms)")
        (options.out / "density.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
