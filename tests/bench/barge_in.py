#!/usr/bin/env python3
"""Barge-in, as the carrier sees it: how soon the agent's voice is cleared, and whether the model is told what was heard.

The caller asks for a long answer and interrupts it with the next such question, again and again.

  onset to clear   from the caller's first audible sample on the wire to the carrier's receipt of `clear`
  heard            how many words of the cut answer the caller had heard to the end: the carrier knows how much of its
                   sound had been played when `clear` came, and the synthesizer logs where each word of it ends
  told             how many words of it the model's next request gives as the agent's own; they must be the first words
                   of what was said, in their order

The difference told - heard is 0 when the model is told exactly what was heard. The agent says no fillers here: they are heard
and are no words of the answer.
"""

import collections
import json
import sys

import rig

LATENCIES_MS = {"deepgram": 80, "anthropic": 150, "cartesia": 60}
BYTES_A_SECOND = 8000
LINES = {
    "rooms": "Tell me everything about the rooms and the prices.",
    "breakfast": "Tell me everything about breakfast and dinner.",
    "parking": "Tell me everything about parking and the airport.",
    "house": "Tell me everything about dogs and children.",
    "reception": "Tell me everything about the opening hours of reception.",
    "payment": "Tell me everything about the deposit and the payment.",
}
# How far into an answer the caller speaks, in milliseconds, one after the other.
INTERRUPT_AT_MS = [1300, 3100, 2200, 4000, 1700, 2600, 3600, 1100, 2900, 2000]


def script(barge_ins):
    """The lines of a call: one when the agent has greeted, then each over the answer to the one before."""
    names = list(LINES)
    return [names[0]] + [f"{names[(index + 1) % len(names)]}@{INTERRUPT_AT_MS[index % len(INTERRUPT_AT_MS)]}"
                         for index in range(barge_ins)]


def cuts(report, events):
    """Each interruption of a call as a row, or as a text that says why there is none."""
    events = [event for event in events if event.get("call") == rig.call_id(report)]
    turns = report["turns"]
    for before, turn in zip(turns, turns[1:]):
        if not before["first_media"]:
            yield "the answer had not begun"
        elif not turn["clear"]:
            yield "no clear"
        else:
            yield cut(report, events, before, turn)


def cut(report, events, before, turn):
    clear = rig.at(turn["clear"])
    played = {rig.at(entry["at"]): entry["bytes"] for entry in report["played"]}
    heard_s = (played[clear] - played[rig.at(before["first_media"])]) / BYTES_A_SECOND
    chunks = [event for event in events if event["name"] == "first_chunk" and event["at_us"] < clear]
    said = [(word, end) for event in events
            if event["name"] == "speaks" and event["context"] == chunks[-1]["context"]
            for text, _, end in event["words"] for word in rig.words(text)]
    heard = sum(end <= heard_s for _, end in said)
    asked = next((event for event in events if event["vendor"] == "anthropic" and event["name"] == "request"
                  and event["at_us"] > clear and is_caller(event["messages"][-1])), None)
    if not asked:
        return "no request after it"
    told = rig.words(agents_last(asked["messages"]))
    spoken = [word for word, _ in said]
    return {
        "call": rig.call_id(report),
        "line": turn["line"],
        "onset_to_clear_ms": (clear - rig.at(turn["start_of_speech"])) / 1000,
        "heard_s": heard_s,
        "heard": heard,
        "told": len(told),
        "in_order": told == spoken[:len(told)],
        "text": agents_last(asked["messages"]),
    }


def is_caller(message):
    """Whether the message holds words of the caller, not a tool's result."""
    content = message["content"]
    return message["role"] == "user" and (isinstance(content, str) or any(block["type"] == "text" for block in content))


def agents_last(messages):
    """All that the agent said between the caller's last words and those before them."""
    said = []
    for message in reversed(messages[:-1]):
        if is_caller(message):
            break
        if message["role"] == "assistant":
            content = message["content"]
            texts = [content] if isinstance(content, str) else [b["text"] for b in content if b["type"] == "text"]
            said.insert(0, " ".join(texts))
    return " ".join(said)


def main():
    parser = rig.arguments("Onset to clear, and what the model is told of an answer that was cut.")
    parser.add_argument("--barge-ins", type=int, default=10, help="in each call [10]")
    parser.add_argument("--calls", type=int, default=4, help="calls, all at once [4]")
    options = parser.parse_args()
    rows, without = [], collections.Counter()
    platform = rig.Platform(rig.binary(options.bin), options.out / "barge-in", LINES, LATENCIES_MS)
    with platform.with_agent(phrases__fillers=[]):
        print(f"barge-in of {platform.binary}")
        # The first call finds documents that are not embedded yet.
        platform.call(["rooms"])
        rig.say(f"{options.calls} calls with {options.barge_ins} interruptions each")
        for report in platform.call(script(options.barge_ins), options.calls, options.calls):
            for row in cuts(report, platform.events()):
                if isinstance(row, str):
                    without[row] += 1
                else:
                    rows.append(row)
    (options.out / "barge-in.json").write_text(json.dumps(rows, indent=1))
    rig.table("barge-in", [("onset to clear", [row["onset_to_clear_ms"] for row in rows])], [0.5, 0.95])
    difference = collections.Counter(row["told"] - row["heard"] for row in rows)
    print("  words told to the model less words heard       "
          + ", ".join(f"{words:+d}: {count}" for words, count in sorted(difference.items())))
    print(f"  told are the first words of what was said      {sum(row['in_order'] for row in rows)} of {len(rows)}")
    if without:
        print("  interruptions without a row: " + ", ".join(f"{count} {why}" for why, count in sorted(without.items())))
    if not rows:
        sys.exit("no interruption was measured")


if __name__ == "__main__":
    main()
