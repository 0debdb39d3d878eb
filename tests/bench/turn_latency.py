#!/usr/bin/env python3
"""Our own share of a turn: what is left of the carrier's wire times when the vendors' times, as they logged them
themselves, and the end-of-turn wait are taken off.

A turn runs from the caller's last audible sample on the wire to the answer's first media on the wire, both stamped by
the carrier. On that way lie, for each turn:

  detector   from that sample, which the carrier finds by the sound's energy, to the end of speech that the platform's
             detector found; negative if the detector found it earlier
  wait       from there until the turn may be over: what the agent waits (300 ms, 200 ms after a question) or, if that is later, the moment
             the transcriber had sent the last final transcript
  ask        from there until the model's request has arrived                                                 (ours)
  model      from each request to the piece of text that completes what the synthesizer was given first; of a round
             that only called a tool, to its end
  rounds     from the end of a round that called a tool to the next request, less the embedding of the query   (ours)
  embedding  from the request for the query's vector to its answer
  speak      from that piece of text to its arrival at the synthesizer                                        (ours)
  voice      from there to the synthesizer's first chunk
  play       from there to the first media at the carrier                                                     (ours)

The parts add up to the whole, and our own share is ask + rounds + speak + play. The share with the detector in it is
shown beside it. Where the detector found the end is known from outside: it asks Deepgram to finalise with the
chunk of 32 ms that makes the silence 128 ms long, and the transcriber logs how much audio had come by then, and when.
Sarvam takes no such request: with it the detector counts as 0, and a turn has a row only if the transcript came when the
wait was over for certain. Nor does it know which call it serves, so its calls are measured one at a time.

The agent begins no reply before the end of the turn is certain here, so that the parts come one after the other; what it saves
to begin earlier is measured by preemption.py. It says no fillers either: the first media is the answer's.
"""

import json
import pathlib

import rig

LATENCIES_MS = {"deepgram": 80, "anthropic": 150, "cartesia": 60, "sarvam": 80}
# What the demo agent waits after a finished sentence and after a finished question.
ENDPOINTING_DELAY_US = 300_000
ENDPOINTING_DELAY_QUESTION_US = 200_000
# By so much later than the carrier the detector finds the end of speech at most.
DETECTOR_LAG_MAX_US = 200_000
# The detector's chunk, and the fewest whole chunks that are as long as its shortest silence (100 ms).
CHUNK_US = 32_000
SILENCE_US = 128_000
# Statements are answered at once, questions after a search in the tenant's documents. Of the questions, the rehearsed
# model says something before the search for the first two, and searches in silence for the others.
LINES = {
    "key": "I lost the key of my room.",
    "parking": "How much does parking cost?",
    "late": "My train will be late tonight.",
    "breakfast": "When is breakfast served?",
    "towels": "We need two more towels.",
    "double": "How much is a double room?",
    "window": "The window of my room is open.",
    "dinner": "Do you serve dinner?",
    "luggage": "I left my luggage in the hall.",
    "car": "Where can I leave my car?",
}
OURS = ["ask", "rounds", "speak", "play"]
PARTS = ["detector", "wait", "ask", "model", "rounds", "embedding", "speak", "voice", "play"]


class Call:
    """What the vendors logged of one call, and what was logged without a call's name."""

    def __init__(self, events, call_id, vendors):
        self.vendors, self.embedding_us = vendors, {}
        self.events = [event for event in events if event.get("call") == call_id or event["vendor"] == "sarvam"]
        self.requests = [event for event in self.events if event["vendor"] == "anthropic" and event["name"] == "request"]
        self.ends = {event["request"]: event for event in self.events if event["vendor"] == "anthropic"
                     and event["name"] in ("done", "cancelled", "failed")}

    def turn(self, turn):
        """The parts of a turn in microseconds, or a text that says why there are none."""
        end, media = rig.at(turn["end_of_speech"]), rig.at(turn["first_media"])
        if not media:
            return "no answer"
        chunk = self.last(self.vendors["voice"], "first_chunk", rig.at(turn["start_of_speech"]), media)
        if not chunk:
            return "no voice"
        text = self.spoken(chunk)
        rounds = self.rounds(text["at_us"])
        if not rounds or rounds[0]["at_us"] < end:
            return "asked before the end of speech"
        completed = self.completed(rounds[-1], text)
        if not completed:
            return "text not found in the reply"
        final = self.last(self.vendors["listening"], "result", rig.at(turn["start_of_speech"]), rounds[0]["at_us"],
                          lambda event: event.get("text") or event["is_final"] and event["words"] > 0)
        if not final:
            return "no transcript"
        question = LINES[pathlib.Path(turn["line"]).stem].endswith("?")
        wait = ENDPOINTING_DELAY_QUESTION_US if question else ENDPOINTING_DELAY_US
        detected = self.detected(rig.at(turn["start_of_speech"]), rounds[0]["at_us"])
        if self.vendors["listening"] == "sarvam":
            if final["at_us"] < end + wait + DETECTOR_LAG_MAX_US:
                return "transcript before the wait was over for certain"
            detected = end
        if not detected:
            return "no request to finalise"
        over = max(detected + wait, final["at_us"])
        ends = [self.ends[request["request"]]["at_us"] for request in rounds[:-1]]
        gaps = [(before, request["at_us"]) for before, request in zip(ends, rounds[1:])]
        embedding = sum(self.embedding_us.get(gap, 0) for gap in gaps)
        return {
            "whole": media - end,
            "detector": detected - end,
            "wait": over - detected,
            "ask": rounds[0]["at_us"] - over,
            "model": sum(done - asked["at_us"] for done, asked in zip(ends + [completed], rounds)),
            "rounds": sum(to - since for since, to in gaps) - embedding,
            "embedding": embedding,
            "speak": text["at_us"] - completed,
            "voice": chunk["at_us"] - text["at_us"],
            "play": media - chunk["at_us"],
            "searched": bool(gaps) or "tool_use" == self.ends[rounds[-1]["request"]].get("stop_reason"),
        }

    def last(self, vendor, name, since, until, wanted=lambda _: True):
        found = [event for event in self.events if event["vendor"] == vendor and event["name"] == name
                 and since < event["at_us"] <= until and wanted(event)]
        return found[-1] if found else None

    def spoken(self, chunk):
        """The text that this first chunk of sound speaks."""
        if chunk["vendor"] == "cartesia":
            return next(event for event in self.events if event.get("context") == chunk["context"]
                        and event["name"] == "transcript")
        of_socket = [event for event in self.events if event["connection"] == chunk["connection"]
                     and event["at_us"] <= chunk["at_us"]]
        before = max((event["at_us"] for event in of_socket if event["name"] == "final"), default=0)
        return next(event for event in of_socket if event["name"] == "text" and event["at_us"] > before)

    def rounds(self, until):
        """The requests that led to the text given to the synthesizer then: the caller's words, then tools' results."""
        rounds = []
        for request in reversed([request for request in self.requests if request["at_us"] <= until]):
            rounds.insert(0, request)
            content = request["messages"][-1]["content"]
            if isinstance(content, str) or not any(block["type"] == "tool_result" for block in content):
                return rounds
        return []

    def completed(self, request, text):
        """When the model had sent the piece of its text that completes what the synthesizer was given."""
        end, wanted = self.ends.get(request["request"]), rig.words(text["text"])
        if not end or not end.get("text_sent") or rig.words(end["text"])[:len(wanted)] != wanted:
            return None
        last = len(end["text_sent"]) - 1
        for index, (at_us, chars) in enumerate(end["text_sent"]):
            so_far = end["text"][:chars]
            # The segment ends with the white space behind it, or with the reply.
            if len(rig.words(so_far)) >= len(wanted) and (so_far[-1].isspace() or index == last):
                return at_us
        return None

    def gaps(self):
        """From the end of a round that called a tool to the next request, for every such round."""
        for before, request in zip(self.requests, self.requests[1:]):
            end = self.ends.get(before["request"])
            if end and end.get("stop_reason") == "tool_use":
                yield end["at_us"], request["at_us"]

    def detected(self, since, until):
        """The end of speech as the platform's detector found it."""
        result = self.last("deepgram", "result", since, until, lambda event: event["from_finalize"])
        if not result:
            return None
        return result["audio_at_us"] - round(result["audio_s"] * 1e6) % CHUNK_US - SILENCE_US


def embeddings(events):
    """Start and end of each embedding of a query."""
    asked = {}
    for event in events:
        if event["vendor"] == "voyage" and event["name"] == "request" and event.get("input_type") == "query":
            asked[event["connection"]] = event["at_us"]
        elif event["vendor"] == "voyage" and event["name"] == "done" and event["connection"] in asked:
            yield asked.pop(event["connection"]), event["at_us"]


def assign_embeddings(calls, events):
    """The embedding that lies in each gap. The vendor does not know the call, so each goes to one gap that holds it, those
    that fit closest first. Whichever goes where, the time left to us is the same in sum. How many gaps have none: their
    embedding counts as ours."""
    asked = list(embeddings(events))
    fits = sorted((until - since - (done - start), index, call, (since, until), done - start)
                  for call, of_call in enumerate(calls) for since, until in of_call.gaps()
                  for index, (start, done) in enumerate(asked) if since <= start and done <= until)
    taken = set()
    for _, index, call, gap, duration in fits:
        if index not in taken and gap not in calls[call].embedding_us:
            taken.add(index)
            calls[call].embedding_us[gap] = duration
    return sum(gap not in call.embedding_us for call in calls for gap in call.gaps())


def measure(platform, title, calls, at_once):
    """Places the calls and prints where the time of their turns went."""
    rig.say(f"{title}: {calls * len(LINES)} turns")
    rows, without = taken_apart(platform.call(LINES, calls, at_once), platform)
    show(title, rows, without)
    return rows


def taken_apart(reports, platform):
    """A row for each turn of these calls, and how many have none for which reason. Searches whose embedding was not found
    are counted there too, but have their row."""
    events, rows, without = platform.events(), [], {}
    ids = [rig.call_id(report) for report in reports]
    calls = [Call(events, call_id, platform.vendors) for call_id in ids]
    if unassigned := assign_embeddings(calls, events):
        without["searches without an embedding"] = unassigned
    for report, call_id, call in zip(reports, ids, calls):
        turns = [call.turn(turn) for turn in report["turns"]]
        for turn, row in zip(report["turns"], turns + ["not spoken"] * (len(LINES) - len(turns))):
            if isinstance(row, str):
                without[row] = without.get(row, 0) + 1
                continue
            assert row["whole"] == sum(row[part] for part in PARTS), row
            row["own"] = sum(row[part] for part in OURS)
            rows.append({"call": call_id, "line": turn["line"]} | row)
    return rows, without


def show(title, rows, without):
    def ms(*names, of=rows):
        return [sum(row[name] for name in names) / 1000 for row in of]

    searched = [row for row in rows if row["searched"]]
    plain = [row for row in rows if not row["searched"]]
    silent = [row for row in searched if row["embedding"]]
    parts = [("  " + part + (" (ours)" if part in OURS else ""), ms(part)) for part in PARTS]
    rig.table(title, [("end of speech to first media on the wire", ms("whole"))] + parts + [
        ("our own share", ms("own")),
        ("  after the model was asked", ms("rounds", "speak", "play")),
        ("  of turns without a search", ms("own", of=plain)),
        ("  of turns with a search", ms("own", of=searched)),
        ("  of turns that searched before they spoke", ms("own", of=silent)),
        ("our own share and the detector", ms("detector", "own")),
    ], [0.5, 0.99])
    if without:
        print("  turns without a row: " + ", ".join(f"{count} {why}" for why, count in sorted(without.items())))


def main():
    parser = rig.arguments("Our own share of a turn's latency.")
    parser.add_argument("--calls", type=int, default=4, help="calls one at a time [4]")
    parser.add_argument("--at-once", type=int, default=20, help="calls at once, after those; not with Sarvam [20]")
    rig.add_path_arguments(parser)
    options = parser.parse_args()
    platform = rig.Platform(rig.binary(options.bin), options.out / "turns", LINES, LATENCIES_MS).on_path(options)
    with platform.with_agent(turn__preemptive=False, phrases__fillers=[]):
        print(f"turn latency of {platform.binary}, vendors at {platform.env['TRUNKLINE_REHEARSAL_LATENCY_MS']} ms")
        # The first calls find empty caches and documents that are not embedded yet.
        platform.call(["parking", "key"])
        rows = measure(platform, "one call at a time", options.calls, 1)
        if "sarvam" not in platform.vendors.values():
            rows += measure(platform, f"{options.at_once} calls at once", options.at_once, options.at_once)
        (options.out / "turns.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
