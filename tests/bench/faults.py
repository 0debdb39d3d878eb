#!/usr/bin/env python3
"""The fault table: every vendor of a call with every fault, over both carriers, and what it cost the caller.

Each cell is one `trunkline demo --fault VENDOR:FAULT@2`: a whole call with rehearsed vendors, in which the vendor fails in the
caller's second turn. The caller measures by ear: the longest silence while the agent had the floor, the longest wait for the
conversation to go on (fillers do not count), words that were lost and words that came twice.

A cell is outside of what is promised when the silence is longer than 2 s (4 s for a model's fault); when a fault of STT or TTS costs a word, but for one
that does not pass by itself (a refused key, or one that stays, `--when 2+`); when anything is said twice; or when the call ends without a
reason that names the vendor. Exits 1 if one is.
"""

import collections
import concurrent.futures
import json
import re
import subprocess
import sys

import rig

FAULTS = ["refused", "auth", "rate", "overloaded", "reset", "halfopen", "stall", "garbage"]
PARTS = ["stt", "llm", "tts"]
CARRIERS = ["twilio", "exotel"]
# Of silence, fillers being none: what design and README promise for each.
SILENCE_MAX_S = {"stt": 2.0, "llm": 4.0, "tts": 2.0}
CALL_SECONDS = 180
GOOD_END = "END_REASON_AGENT_HANGUP"

# `vendors` names who has each part, and `part` is the one that fails.
Cell = collections.namedtuple("Cell", "part fault when carrier vendors")


def call(cell, binary, out):
    """One call; what was measured, with an `error` if there is none."""
    fault = f"{cell.part}:{cell.fault}@{cell.when}"
    folder = out / f"{cell.part}-{cell.fault}-{cell.when}-{cell.carrier}-{cell.vendors[cell.part]}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [binary, "demo", "--json", "--fault", fault, "--carrier", cell.carrier, "--out", str(folder),
               "--listening", cell.vendors["stt"], "--voice", cell.vendors["tts"]]
    try:
        with open(folder / "log.txt", "w") as log:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, timeout=CALL_SECONDS, cwd=folder)
    except subprocess.TimeoutExpired:
        return {"error": f"no end in {CALL_SECONDS} s"}
    (folder / "events.jsonl").write_text(done.stdout)
    for line in done.stdout.splitlines():
        if line.startswith('{') and '"silence_longest_s"' in line:
            return json.loads(line)
    return {"error": f"exit code {done.returncode}; see {folder}"}


def wrongs(cell, row):
    """What is outside of what is promised."""
    if "error" in row:
        yield row["error"]
        return
    if row["silence_longest_s"] > SILENCE_MAX_S[cell.part]:
        yield f"silence of {row['silence_longest_s']:.1f} s"
    if row["agent_words_twice"]:
        yield "said twice"
    told = any(text.startswith(cell.vendors[cell.part]) for text in row["told"])
    if row["end"] == f"END_REASON_{cell.part.upper()}_FAILED":
        if cell.fault != "auth" and "+" not in cell.when:
            yield "the call ended although the fault passes"
        if not told:
            yield "no reason was told"
        return
    apologised = cell.part == "llm" and "+" in cell.when and told
    if row["end"] != GOOD_END and not (apologised and row["end"] == "END_REASON_CALLER_HANGUP"):
        yield f"ended with {row['end']}"
    if row["caller_words_lost"]:
        yield "the caller's words were lost"
    if row["agent_words_lost"]:
        if cell.part != "llm":
            yield "the agent's words were lost"
        elif not told:
            yield "words were lost and no reason was told"


def text(cell, row, wrong):
    """A line of the table."""
    if "error" in row:
        return f"| {cell.part} | {cell.fault} | {cell.carrier} | | | | | | | | **{row['error']}** |"
    count = lambda name: str(len(row[name]) or "0")
    times = collections.Counter(row["told"])
    told = "; ".join(text if count == 1 else f"{text} ({count} times)" for text, count in times.items())
    told = re.sub(r"\s*\(os error \d+\)", "", told).replace("|", "/") or "nothing"
    end = row["end"].removeprefix("END_REASON_").lower()
    return (f"| {cell.part} | {cell.fault} | {cell.carrier} | {row['silence_longest_s']:.1f} | {row['wait_longest_s']:.1f} | {count('caller_words_lost')} "
            f"| {count('agent_words_lost')} | {count('agent_words_twice')} | {told} | {end} | {'**' + '; '.join(wrong) + '**' if wrong else 'yes'} |")


def main():
    parser = rig.arguments(__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only the cells whose name has this regular expression, as in `stt:stall@2 twilio`")
    rig.add_vendor_arguments(parser)
    parser.add_argument("--when", default="2", help="the turn in which the vendor fails; 2+: from then on [default: 2]")
    parser.add_argument("--at-once", type=int, default=6, help="calls at once [default: 6]")
    options = parser.parse_args()
    binary, out = rig.binary(options.bin), options.out.resolve() / "faults"
    if options.listening == options.voice and not re.match(r"\^?(stt|tts|llm)", options.only):
        parser.error("Sarvam fails in both parts that it has: try one at a time, or one of its parts with --only")
    vendors = {"stt": options.listening, "llm": "anthropic", "tts": options.voice}
    cells = [Cell(part, fault, options.when, carrier, vendors) for part in PARTS for fault in FAULTS for carrier in CARRIERS]
    cells = [cell for cell in cells if re.search(options.only, f"{cell.part}:{cell.fault}@{cell.when} {cell.carrier}")]
    print("| vendor | fault | carrier | longest silence, s | longest wait, s | caller's words lost | agent's words lost | said twice | told | end | as promised |")
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        for cell, row in zip(cells, pool.map(lambda cell: call(cell, binary, out), cells)):
            wrong = list(wrongs(cell, row))
            bad += bool(wrong)
            print(text(cell, row, wrong), flush=True)
    print(f"\n{len(cells) - bad} of {len(cells)} cells are as promised", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
