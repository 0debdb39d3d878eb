#!/usr/bin/env python3
"""Runs every fuzz target for a while, one after the other, and prints what came of each.

What is found goes to out/fuzz; tests/fuzz/corpus is only read, unless --keep adds to it what reaches code that nothing in
it reaches. A crash's input is kept in tests/fuzz/artifacts.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "fuzz"
# The stable toolchain has no sanitizers, and code without `unsafe` little to show them.
NO_SANITIZER = ["--sanitizer", "none"]
# An input that takes longer, or more memory, is a finding like any other.
LIMITS = ["-timeout=5", "-rss_limit_mb=512", "-max_len=8192"]
# Inputs that are kept are read by people, and by every run of the tests.
KEPT_BYTES_MAX = 512
STATUS = re.compile(r"^#\d+\s.*\bcov: (\d+) ft: (\d+) corp: (\d+)", re.M)
# All edges of the binary, its libraries included.
COUNTERS = re.compile(r"\((\d+) inline 8-bit counters\)")
EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.M)
PER_SECOND = re.compile(r"^stat::average_exec_per_sec:\s*(\d+)", re.M)


def cargo_fuzz(what, *arguments, **options):
    return subprocess.run(["cargo", "fuzz", what, "--fuzz-dir", HERE, *arguments], cwd=ROOT, **options)


def crashes(target):
    folder = HERE / "artifacts" / target
    return set(folder.iterdir()) if folder.is_dir() else set()


def run(target, seconds):
    """Fuzzes one target; its row of the table, and whether nothing was found."""
    found = ROOT / "out" / "fuzz" / target
    found.mkdir(parents=True, exist_ok=True)
    before = crashes(target)
    # The target's output goes to a file: some megabytes, should a target print.
    log = found.with_suffix(".log")
    with log.open("w") as output:
        flags = [f"-max_total_time={seconds}", "-print_final_stats=1", *LIMITS]
        done = cargo_fuzz("run", *NO_SANITIZER, target, found, HERE / "corpus" / target, "--", *flags, stdout=output, stderr=output)
    text = log.read_text(errors="replace")
    last = STATUS.findall(text)[-1] if STATUS.search(text) else ("?", "?", "?")
    number = lambda pattern: (pattern.findall(text) or ["?"])[-1]
    new = crashes(target) - before
    for crash in sorted(new):
        print(f"{target}: {crash.relative_to(ROOT)}, see {log.relative_to(ROOT)}", file=sys.stderr)
    edges, *more = last
    return [target, number(EXECUTED), number(PER_SECOND), f"{edges} of {number(COUNTERS)}", *more, str(len(new))], done.returncode == 0


def keep(target):
    """Adds to the corpus what reaches more code, the fewest inputs that do."""
    found, corpus = ROOT / "out" / "fuzz" / target, HERE / "corpus" / target
    added = found.with_suffix(".kept")
    shutil.rmtree(added, ignore_errors=True)
    added.mkdir()
    for file in corpus.iterdir():
        shutil.copy(file, added)
    flags = ["-set_cover_merge=1", "-use_counters=0", f"-max_len={KEPT_BYTES_MAX}", *LIMITS[:2]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    cargo_fuzz("run", *NO_SANITIZER, target, added, found, "--", *flags, check=True, **quiet)
    known = {file.read_bytes() for file in corpus.iterdir()}
    for file in added.iterdir():
        if file.read_bytes() not in known:
            shutil.copy(file, corpus)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--keep", action="store_true", help="add to the corpus what reaches more code")
    parser.add_argument("targets", nargs="*", help="all, if none is named")
    options = parser.parse_args()
    listed = cargo_fuzz("list", capture_output=True, text=True, check=True).stdout.split()
    targets = options.targets or listed
    if cargo_fuzz("build", *NO_SANITIZER).returncode != 0:
        sys.exit(1)
    row = "| {:<16} | {:>12} | {:>8} | {:>16} | {:>8} | {:>6} | {:>7} |".format
    print(row("target", "executions", "a second", "edges", "features", "inputs", "crashes"))
    print("|---|---|---|---|---|---|---|", flush=True)
    is_good = True
    for target in targets:
        cells, good = run(target, options.seconds)
        print(row(*cells), flush=True)
        is_good &= good
        if good and options.keep:
            keep(target)
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
