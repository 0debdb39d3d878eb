#!/usr/bin/env python3
"""Preemptive generation on and off: what it saves the caller, and what it costs.

The same callers say the same lines to the same agent twice, once with its setting `preemptive` and once without it. Some
lines have a pause in the middle where the turn is likely over and is not, so that replies are begun for nothing. The vendors
answer after fixed times. The agent says no fillers here: the first audio of a turn is its answer's.

  time to first audio   from the caller's last audible sample on the wire to the answer's first media on the wire
  thrown away           tokens of the language model in replies to turns that were never confirmed, as the platform
                        meters them (`trunkline_tokens_total`), and characters given to the synthesizer for them
"""

import json
import pathlib
import sys

import rig

LATENCIES_MS = {"deepgram": 80, "anthropic": 300, "cartesia": 90}
# Statements are answered at once, questions after a search. A number is a pause of so many milliseconds. The words of a line
# without a mark at its end do not say whether the turn is over: the agent waits longer for it.
LINES = {
    "key": ["I lost the key of my room."],
    "parking": ["How much does parking cost?"],
    "view": ["I would like a room for two people", 600, "with a view of the harbour."],
    "late": ["My train will be late tonight."],
    "breakfast": ["When is breakfast served?"],
    "towels": ["We need two more towels."],
    "heating": ["The heating does not work in my bathroom", 450, "since we came back this evening."],
    "nights": ["From the tenth to the twelfth of November"],
    "double": ["How much is a double room?"],
    "window": ["The window of my room is open."],
    "taxi": ["I have to be at the airport tomorrow morning", 700, "before eight o'clock."],
    "dinner": ["Do you serve dinner?"],
    "luggage": ["I left my luggage in the hall."],
    "name": ["The room is booked under the name of Miller"],
    "car": ["Where can I leave my car?"],
}
TOKENS = "trunkline_tokens_total"
CHARACTERS = "trunkline_synthesized_characters_total"


def counted(metrics, name, **labels):
    """The sum of a counter over the series that have these labels."""
    return sum(value for series, value in metrics.items() if series.partition("{")[0] == name
               and all(f'{key}="{wanted}"' in series for key, wanted in labels.items()))


def kind(line):
    """What is special about a line."""
    if len(line) > 1:
        return "paused"
    return {"?": "question", ".": "statement"}.get(line[-1][-1], "unmarked")


def measure(options, preemptive):
    name = "on" if preemptive else "off"
    platform = rig.Platform(rig.binary(options.bin), options.out / "preemption" / name, LINES, LATENCIES_MS)
    with platform.with_agent(turn__preemptive=preemptive, phrases__fillers=[]):
        # The first calls find empty caches and documents that are not embedded yet.
        platform.call(["parking", "key"])
        before = platform.metrics()
        rig.say(f"preemptive {name}: {options.calls * len(LINES)} turns")
        reports = platform.call(LINES, options.calls, options.at_once)
        after = platform.metrics()
    rows, without = [], {"no answer": 0, "answered in the pause": 0}
    for report in reports:
        for turn in report["turns"]:
            end, media = rig.at(turn["end_of_speech"]), rig.at(turn["first_media"])
            if not media:
                without["no answer"] += 1
            elif media < end:
                without["answered in the pause"] += 1
            else:
                line = pathlib.Path(turn["line"]).stem
                rows.append({"line": line, "kind": kind(LINES[line]), "ms": (media - end) / 1000})
        without["no answer"] += len(LINES) - len(report["turns"])
    spent = {series: value - before.get(series, 0) for series, value in after.items()}
    return {"rows": rows, "without": without, "spent": spent}


def show(name, measured):
    rows = measured["rows"]
    def of(kind):
        return [row["ms"] for row in rows if row["kind"] == kind]

    rig.table(f"preemptive {name}: time to first audio", [
        ("all turns", [row["ms"] for row in rows]),
        ("  statements", of("statement")),
        ("  statements with a pause in the middle", of("paused")),
        ("  words that do not say whether they are all", of("unmarked")),
        ("  questions, answered after a search", of("question")),
    ], [0.5, 0.99])
    spent = measured["spent"]
    for what, kinds in [("output tokens", ["output"]), ("input tokens", ["input", "cache_write", "cache_read"])]:
        thrown, kept = (sum(counted(spent, TOKENS, kind=kind, discarded=discarded) for kind in kinds)
                        for discarded in ("true", "false"))
        share = 100 * thrown / max(1, thrown + kept)
        print(f"  {what + ' thrown away':46}{thrown:9.0f} of {thrown + kept:.0f}, {share:.1f} %")
    thrown, kept = (counted(spent, CHARACTERS, discarded=discarded) for discarded in ("true", "false"))
    share = 100 * thrown / max(1, thrown + kept)
    print(f"  {'synthesized characters thrown away':46}{thrown:9.0f} of {thrown + kept:.0f}, {share:.1f} %")
    discarded = counted(spent, "trunkline_replies_total", outcome="discarded")
    print(f"  {'replies thrown away':46}{discarded:9.0f}")
    for why, count in measured["without"].items():
        if count:
            print(f"  turns without a row: {count} {why}")
    sys.stdout.flush()


def main():
    parser = rig.arguments("Time to first audio and thrown-away work with preemptive generation off and on.")
    parser.add_argument("--calls", type=int, default=6, help=f"of {len(LINES)} turns each [6]")
    parser.add_argument("--at-once", type=int, default=6, help="of them [6]")
    options = parser.parse_args()
    print(f"preemptive generation of {rig.binary(options.bin)}, vendors at {LATENCIES_MS} ms")
    measured = {}
    for preemptive in (False, True):
        name = "on" if preemptive else "off"
        measured[name] = measure(options, preemptive)
        show(name, measured[name])
    (options.out / "preemption.json").write_text(json.dumps(measured, indent=1))
    if not all(part["rows"] for part in measured.values()):
        sys.exit("no turn was measured")


if __name__ == "__main__":
    main()
