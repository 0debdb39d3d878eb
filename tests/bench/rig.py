"""What the benches share: a platform on rehearsed vendors, a caller's voice, calls, and what the vendors logged.

Everything runs on loopback in real time. Times are microseconds since 1970, taken on one machine by one clock: by the
carrier (`trunkline call`) at its socket, by the rehearsed vendors where their logs say.
"""

import argparse
import array
import json
import math
import os
import pathlib
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
import wave

ROOT = pathlib.Path(__file__).resolve().parents[2]
AUTH_TOKEN = "bench-auth-token"
EXOTEL_SECRET = "bench"
READY_SECONDS = 60
RATE_HZ = 8000
VOICE = "en-us+f3"


def arguments(description):
    """The options that every bench has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bin", help="the binary to measure [default: target/release/trunkline, else target/debug]")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out" / "bench", help="where logs and rows go")
    return parser


def add_path_arguments(parser):
    """Which carrier and which vendors the calls go over."""
    parser.add_argument("--carrier", choices=["twilio", "exotel"], default="twilio", help="[twilio]")
    add_vendor_arguments(parser)


def add_vendor_arguments(parser):
    """Which vendors the calls go over."""
    parser.add_argument("--voice", choices=["cartesia", "sarvam"], default="cartesia", help="who speaks [cartesia]")
    parser.add_argument("--listening", choices=["deepgram", "sarvam"], default="deepgram", help="who listens [deepgram]")


def binary(named):
    """The binary to measure."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    for path in [named] if named else [target / "release" / "trunkline", target / "debug" / "trunkline"]:
        if os.access(path, os.X_OK):
            return str(pathlib.Path(path).resolve())
    sys.exit(f"no binary at {named or target}: build one with `cargo build --release --bin trunkline`, or name one with --bin")


def record(folder, lines):
    """Speaks each of `lines`, by name, into folder/NAME.wav at 8 kHz, with its words in NAME.txt. A line is a text, or a
    list of texts with pauses in milliseconds between them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, line in lines.items():
        parts = [line] if isinstance(line, str) else line
        sound = array.array("h")
        for part in parts:
            sound += array.array("h", bytes(2 * RATE_HZ * part // 1000)) if isinstance(part, int) else speak(folder, part)
        with wave.open(str(folder / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
            file.writeframes(sound.tobytes())
        (folder / f"{name}.txt").write_text(" ".join(part for part in parts if isinstance(part, str)) + "\n")


def speak(folder, words):
    """The words as samples at 8 kHz."""
    native = folder / "espeak"
    subprocess.run(["espeak-ng", "-v", VOICE, "-w", str(native), words], check=True)
    with wave.open(str(native)) as sound:
        samples = array.array("h", sound.readframes(sound.getnframes()))
        rate = sound.getframerate()
    native.unlink()
    return resample(samples, rate)


def resample(samples, rate):
    """To 8 kHz, through a windowed sinc that passes what a telephone does."""
    step, reach = rate / RATE_HZ, 16
    cutoff = 0.45 * RATE_HZ / rate
    half = math.ceil(reach * step)
    out = array.array("h")
    for index in range(int(len(samples) / step)):
        centre = index * step
        total = 0.0
        for at in range(max(0, int(centre) - half), min(len(samples), int(centre) + half)):
            x = at - centre
            sinc = 2 * cutoff if x == 0 else math.sin(2 * math.pi * cutoff * x) / (math.pi * x)
            total += samples[at] * sinc * (0.5 + 0.5 * math.cos(math.pi * x / (half + 1)))
        out.append(max(-32768, min(32767, round(total))))
    return out


class Platform:
    """`trunkline up` on free ports and fresh stores, every vendor rehearsed, until the `with` block ends."""

    def __init__(self, binary, folder, lines, latencies_ms, settings=None):
        self.binary, self.folder = binary, folder
        shutil.rmtree(folder, ignore_errors=True)
        record(folder / "lines", lines)
        (folder / "data").mkdir()
        self.log = folder / "vendors.jsonl"
        self.env = {name: value for name, value in os.environ.items()
                    if not re.match("TRUNKLINE_|TWILIO_|(DEEPGRAM|ANTHROPIC|CARTESIA|VOYAGE|SARVAM)_", name)}
        self.env |= {
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "TRUNKLINE_LOG": "warn",
            "TRUNKLINE_HTTP_ADDR": "127.0.0.1:0",
            "TRUNKLINE_GRPC_ADDR": "127.0.0.1:0",
            "TRUNKLINE_ADMIN_ADDR": "127.0.0.1:0",
            "TRUNKLINE_DATA_DIR": str(folder / "data"),
            "TRUNKLINE_REHEARSAL_LOG": str(self.log),
            "TRUNKLINE_REHEARSAL_RECORDINGS": str(folder / "lines"),
        }
        if latencies_ms:
            self.env["TRUNKLINE_REHEARSAL_LATENCY_MS"] = ",".join(f"{vendor}={ms}" for vendor, ms in latencies_ms.items())
        self.env |= settings or {}
        self.agent = {}
        self.carrier = []
        self.apart, self.rehearsals = False, None
        self.vendors = {"voice": "cartesia", "listening": "deepgram"}

    def with_agent(self, **settings):
        """Lets the demo agent differ from what it is seeded with: `turn__preemptive=False` by its path in the document."""
        self.agent |= {name.replace("__", "."): value for name, value in settings.items()}
        return self

    def on_path(self, options):
        """Takes the carrier and the vendors of the options of `add_path_arguments`."""
        self.vendors = {"voice": options.voice, "listening": options.listening}
        if options.carrier == "exotel":
            self.carrier = ["--carrier", "exotel", "--secret", EXOTEL_SECRET]
            self.env["EXOTEL_WEBHOOK_SECRET"] = EXOTEL_SECRET
        if options.voice == "sarvam":
            self.with_agent(voice={"vendor": "sarvam", "voice_id": "ritu", "model": "bulbul:v3"})
        if options.listening == "sarvam":
            self.with_agent(listening_vendor="sarvam")
        return self

    def with_vendors_apart(self):
        """Runs the rehearsals in a process of their own, so that the node's costs are its own."""
        self.apart = True
        return self

    def start_vendors(self):
        beside = pathlib.Path(self.binary).parent / "examples" / "vendors"
        if not os.access(beside, os.X_OK):
            sys.exit(f"no {beside}: build it with `cargo build --release --example vendors`")
        self.rehearsals = subprocess.Popen([beside], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                           stderr=self.stderr, text=True)
        self.env |= json.loads(self.rehearsals.stdout.readline())

    def __enter__(self):
        self.stderr = open(self.folder / "up.log", "w")
        if self.apart:
            self.start_vendors()
        self.start()
        if self.agent:
            self.stop()
            self.change_agent()
            self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        if self.rehearsals:
            self.rehearsals.communicate()
        self.stderr.close()

    def change_agent(self):
        """Writes the settings into the stores, which nothing else uses meanwhile."""
        for path in (self.folder / "data").rglob("*"):
            if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3":
                store = sqlite3.connect(path)
                triggers = store.execute("SELECT name FROM sqlite_master WHERE tbl_name = 'agent_versions' AND type = 'trigger'")
                for (trigger,) in triggers.fetchall():
                    store.execute(f"DROP TRIGGER {trigger}")
                for setting, value in self.agent.items():
                    store.execute("UPDATE agent_versions SET document = json_set(document, ?, json(?))",
                                  (f"$.{setting}", json.dumps(value)))
                store.commit()
                store.close()
                return
        sys.exit(f"no store below {self.folder / 'data'}")

    def start(self):
        self.process = subprocess.Popen([self.binary, "up"], cwd=self.folder, env=self.env, stdout=subprocess.PIPE,
                                        stderr=self.stderr, text=True)
        found, deadline = None, time.monotonic() + READY_SECONDS
        while not found and select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
            line = self.process.stdout.readline()
            if not line:
                break
            found = re.match(r"ready http=(\S+) .*admin=(\S+)", line)
        if not found:
            self.__exit__()
            sys.exit(f"`{self.binary} up` did not become ready: see {self.folder / 'up.log'}")
        self.url, self.admin_url = f"http://{found[1]}", f"http://{found[2]}"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def metrics(self):
        """The values of all series, by name and labels as they are printed."""
        with urllib.request.urlopen(f"{self.admin_url}/metrics", timeout=10) as response:
            lines = response.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {series: float(value) for series, _, value in samples}

    def call(self, plays, calls=1, at_once=1, timeout=900):
        """Places calls whose callers say `plays` (NAME or NAME@MS); returns the carrier's reports."""
        files = []
        for play in plays:
            name, at, ms = play.partition("@")
            files.append(f"{self.folder / 'lines' / name}.wav{at}{ms}")
        return self.placed(files, ["--calls", str(calls), "--at-once", str(at_once)], timeout)

    def place(self, files, options, timeout=300):
        """Places one call whose caller plays these files (FILE or FILE@MS); returns the carrier's report."""
        return self.placed([str(file) for file in files], options, timeout)[0]

    def placed(self, files, options, timeout):
        command = [self.binary, "call", "--json", "--url", self.url, *self.carrier, *options, "--play", *files]
        done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout)
        if done.returncode:
            sys.exit(f"`trunkline call` ended with {done.returncode}: {done.stderr.strip()}; see {self.folder / 'up.log'}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def events(self):
        """What the vendors saw and did, in order."""
        with open(self.log) as log:
            return sorted((json.loads(line) for line in log), key=lambda event: event["at_us"])


def call_id(report):
    """The platform's name of the call, which its stream carried."""
    return next(stream["custom_parameters"]["call_id"] for stream in reversed(report["streams"]))


def at(stamp):
    """A stamp of the carrier; None if it is missing."""
    return stamp and stamp["unix_us"]


def percentile(values, share):
    """The smallest value that `share` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def words(text):
    """The words of a text as they are compared: without marks and capitals."""
    return re.findall(r"[^\W_]+", text.replace("'", "").replace("’", "").lower())


def table(title, rows, shares, unit="ms"):
    """Prints percentiles of named columns of numbers. A column may be empty."""
    print(f"\n{title}")
    print(f"  {'':46}" + "".join(f"{'p' + format(100 * share, 'g'):>9}" for share in shares) + f"{'max':>9}  {unit}")
    for name, values in rows:
        if values:
            numbers = [percentile(values, share) for share in shares] + [max(values)]
            print(f"  {name:46}" + "".join(f"{number:9.1f}" for number in numbers) + f"  n={len(values)}")
        else:
            print(f"  {name:46}" + f"{'-':>9}" * (len(shares) + 1) + "  n=0")
    sys.stdout.flush()


def say(text):
    """Progress, for whoever waits."""
    print(f"bench: {text}", file=sys.stderr, flush=True)
