#!/usr/bin/env python3
"""Turn-taking on audio, through the whole path, with the scenarios of tests/turns (its README says what is scored).

The measures are those of Full-Duplex-Bench, taken from what the carrier saw; the model's log says when it was asked.
A case during which a frame of the caller left more than LATE_MS late, because this machine was busy, does not count and is
played again. So is a case over the agent's speech that was played when the agent had
stopped already, or had been stopped once in this answer: it is harder to stop then. And so is a turn that was begun in a
hole of the answer before it.
"""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import sys
import tomllib

import rig
import sounds

SCENARIOS = rig.ROOT / "tests" / "turns"
ENGINES = {"nova": "nova-3", "flux": "flux-general-en"}
GREETING = "Hello, this is Harbour House. How can I help you?"
# The agent answers these at length: for about half a minute.
LEADS = ["Just talk about everything.", "Please talk at length about the house.", "Tell us the whole story of the house."]
NOISES_DB = [-72, -64, -58]
LATE_MS = 40
ROUNDS = 4
HOLD_FROM_MS, HOLD_EVERY_S, HOLDS = 1500, 3.5, 6
TURNS_A_CALL, INTERRUPTIONS_A_CALL = 6, 4
# How long an answer may take to be one, a `clear` to be an interruption's, and a false barge-in to be taken back.
ANSWER_US, STOP_US, RESUME_US = 4_000_000, 3_000_000, 1_500_000
# How long after its sound a case is decided, at most.
SETTLED_US = 1_500_000
SIDE_GAP_S = 2.0
# No call is nearly as long, unless the agent cannot come to an end.
CALL_S_MAX = 150


class Case:
    """One case of a scenario at one level, and its sound."""

    def __init__(self, name, measure, spec, level_db, place):
        self.name, self.measure, self.spec, self.level_db = name, measure, spec, level_db
        self.voice, self.speed = sounds.VOICES[place % len(sounds.VOICES)]
        # Every sound that the transcriber knows, with its words.
        self.known = []
        self.pieces = []
        self.samples = sounds.silence(0)
        for piece in spec.get("say", []):
            self.add(piece, level_db)
        if "then" in spec:
            self.samples.extend(sounds.silence(SIDE_GAP_S))
            self.voice, self.speed = sounds.VOICES[(place + 3) % len(sounds.VOICES)]
            self.add(spec["then"], 0)

    def add(self, piece, level_db):
        if isinstance(piece, (int, float)):
            self.samples.extend(sounds.silence(piece))
            return
        piece = {"text": piece} if isinstance(piece, str) else piece
        if "noise" in piece:
            sound = sounds.noise(piece["noise"])
        elif "human" in piece:
            sound = sounds.human(piece["human"])
        else:
            sound = sounds.speech(piece["text"], piece.get("voice", self.voice), self.speed)
        sound = sounds.at_level(sound, sounds.USUAL_DB + level_db)
        if "noise" not in piece and not piece.get("unknown"):
            self.known.append((piece.get("heard", piece.get("text")), sound))
        self.pieces.append((len(self.samples), len(self.samples) + len(sound)))
        self.samples.extend(sound)

    def label(self):
        texts = [piece if isinstance(piece, str) else piece.get("text") or piece.get("noise") or piece["human"]
                 for piece in self.spec.get("say", []) if not isinstance(piece, (int, float))]
        return " … ".join(texts) or f"{self.spec['loss_db']} dB later by {self.spec['delay_ms']} ms"


def cases(only):
    """All cases, in the order of their files."""
    found = []
    for path in sorted(SCENARIOS.glob("*.toml")):
        if only and path.stem not in only:
            continue
        scenario = tomllib.loads(path.read_text())
        for place, spec in enumerate(scenario["case"]):
            levels = spec.get("level_db", scenario.get("level_db", 0))
            for nth, level_db in enumerate(levels if isinstance(levels, list) else [levels]):
                found.append(Case(path.stem, scenario["measure"], spec, level_db, place + nth))
    return found


class Placed:
    """A call to be placed: its lines, and which cases lie where in them."""

    def __init__(self, number):
        self.number = number
        self.plays, self.cases, self.options = [], [], []
        self.options = [f"--noise={NOISES_DB[number % len(NOISES_DB)]}"]

    def play(self, file, cases=(), at_ms=None):
        """Says a file; `cases` are (case, its offset in the file in samples)."""
        self.cases.extend((case, len(self.plays), offset) for case, offset in cases)
        self.plays.append(str(file) + (f"@{at_ms}" if at_ms else ""))


class Sounds:
    """The files of a run."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        folder.mkdir(parents=True, exist_ok=True)

    def file(self, samples):
        self.count += 1
        path = self.folder / f"{self.count}.wav"
        sounds.save(path, sounds.silence(0.1) + samples + sounds.silence(0.1))
        return path


LEAD_IN = 800  # samples of silence that Sounds.file puts first


def packed(waiting, files, first):
    """Calls that hold all of these cases."""
    calls = []

    def place(some, a_call, add):
        for at in range(0, len(some), a_call):
            calls.append(Placed(first + len(calls)))
            add(calls[-1], some[at:at + a_call])

    def turns(call, some):
        if some[0].measure == "beside":
            lead(call)
        for case in some:
            call.play(files.file(case.samples), [(case, LEAD_IN)])

    def lead(call):
        voice, speed = sounds.VOICES[call.number % len(sounds.VOICES)]
        text = LEADS[(call.number + len(call.plays)) % len(LEADS)]
        call.play(files.file(sounds.at_level(sounds.speech(text, voice, speed), sounds.USUAL_DB)))

    def holds(call, some):
        lead(call)
        track, inside = sounds.silence(0), []
        for nth, case in enumerate(some):
            track.extend(sounds.silence(nth * HOLD_EVERY_S - len(track) / sounds.RATE_HZ))
            inside.append((case, LEAD_IN + len(track)))
            track.extend(case.samples)
        call.play(files.file(track), inside, HOLD_FROM_MS)

    def interruptions(call, some):
        for case in some:
            lead(call)
            call.play(files.file(case.samples), [(case, LEAD_IN)], case.spec["at_ms"])

    def echo(call, some):
        call.play(files.file(sounds.at_level(sounds.speech(LEADS[0], *sounds.VOICES[0]), sounds.USUAL_DB)))
        call.cases = [(case, 0, 0) for case in some]
        call.options.append(f"--echo={some[0].spec['loss_db']}@{some[0].spec['delay_ms']}")

    by = collections.defaultdict(list)
    for case in waiting:
        by[case.measure].append(case)
    place(by["hold"], HOLDS, holds)
    # Each stops the agent, so each has an answer to itself.
    place(by["startle"], 1, holds)
    place(by["interrupt"], INTERRUPTIONS_A_CALL, interruptions)
    # Who is at a distance is known once the caller was heard: those cases are not the first of a call.
    place(by["pause"] + by["end"] + by["beside"], TURNS_A_CALL, turns)
    place(by["echo"], 1, echo)
    return calls


class Log:
    """What was seen of one call."""

    def __init__(self, report, events):
        self.report = report
        call = rig.call_id(report)
        self.requests = [event["at_us"] for event in events if event.get("call") == call
                         and event["vendor"] == "anthropic" and event["name"] == "request"]
        self.spoken = [event["at_us"] for event in events if event.get("call") == call
                       and event["vendor"] == "cartesia" and event["name"] == "speaks"]
        self.clears = [rig.at(clear) for clear in report["clears"]]
        end = rig.at(report["ended_at"])
        self.utterances = [(rig.at(one["first_audible"]), rig.at(one["last_audible"]) or end)
                           for one in report["utterances"]]

    def at(self, line, offset):
        """When a sample of a line was on the wire."""
        return rig.at(self.report["lines"][line]["began"]) + offset * 125

    def late(self, line, offset, case):
        """True if this machine was late while it mattered for the case."""
        begin, end = self.at(line, offset), self.at(line, offset + len(case.samples))
        if case.measure == "echo":
            begin, end = 0, self.at(line, 1 << 30)
        return any(frame["late_ms"] > LATE_MS and begin - 200_000 < rig.at(frame["at"]) < end + SETTLED_US
                   for frame in self.report["late"])

    def speaks(self, at):
        return any(first < at - 200_000 and at < last for first, last in self.utterances)

    def begins(self, since, until):
        return next((first for first, _ in self.utterances if since < first < until), None)

    def heard(self, since, until):
        """True if the agent is heard at all in this time."""
        return any(first < until and last > since for first, last in self.utterances)

    def still_answers(self, since):
        """True if something of an answer is spoken that was asked for before this time: a hole in it was taken for its end."""
        asked = self.asked(since, 1 << 62) or 1 << 62
        return any(since < at < min(asked, since + ANSWER_US) for at in self.spoken)

    def asked(self, since, until):
        return next((at for at in self.requests if since < at < until), None)

    def cleared(self, since, until):
        return next((at for at in self.clears if since < at < until), None)


def score(case, line, offset, log, until):
    if case.measure == "interrupt" and line < len(log.report["lines"]):
        onset = rig.at(log.report["lines"][line]["first_voiced_sent"])
        return interrupt(log, onset, log.at(line, offset + case.pieces[-1][1])) if onset else None
    return score_sound(case, line, offset, log, until)


def score_sound(case, line, offset, log, until):
    """The row of a case, or None if it was not what the scenario says."""
    if case.measure == "echo":
        answered = len(log.utterances) > 1
        return {"stopped": bool(log.clears), "kept": not log.clears} if answered else None
    if line >= len(log.report["lines"]):
        return None
    begins = [log.at(line, offset + begin) for begin, _ in case.pieces]
    ends = [log.at(line, offset + end) for _, end in case.pieces]
    return {"pause": pause, "end": end, "beside": beside, "hold": hold, "startle": hold}[case.measure](
        log, begins, ends, until)


def pause(log, begins, ends, _):
    if log.still_answers(begins[0]):
        return None
    return {"takeover": log.heard(ends[0], ends[-1]), "asked_early": bool(log.asked(ends[0], ends[-1])),
            "answered": bool(log.begins(ends[-1], ends[-1] + ANSWER_US))}


def end(log, begins, ends, _):
    if log.still_answers(begins[0]):
        return None
    asked, heard = log.asked(begins[0], ends[-1] + ANSWER_US), log.begins(ends[-1], ends[-1] + ANSWER_US)
    answered = bool(heard and asked and ends[-1] < asked < heard)
    return {"answered": answered} | ({"decided_ms": (asked - ends[-1]) / 1e3, "heard_ms": (heard - ends[-1]) / 1e3}
                                     if answered else {})


def beside(log, begins, ends, _):
    if log.still_answers(begins[0]):
        return None
    return {"takeover": log.heard(begins[0], ends[-1]), "answered": bool(log.begins(ends[-1], ends[-1] + ANSWER_US))}


def hold(log, begins, ends, until):
    if not log.speaks(begins[0]):
        return None
    cleared = log.cleared(begins[0], min(until, ends[-1] + STOP_US))
    if not cleared:
        return {"kept": True, "stopped": False}
    again = log.begins(cleared, cleared + ANSWER_US)
    asked = log.asked(cleared - 50_000, again or cleared + ANSWER_US)
    resumed = bool(again) and not asked
    return {"kept": False, "stopped": not resumed, "clear_ms": (cleared - begins[0]) / 1e3} | (
        {"resume_ms": (again - cleared) / 1e3} if resumed else {})


def interrupt(log, onset, end):
    if not log.speaks(onset):
        return None
    cleared = log.cleared(onset, end + STOP_US)
    return {"stop_ms": (cleared - onset) / 1e3 if cleared else None}


class Run:
    """All cases with one transcriber."""

    def __init__(self, engine, options, agents):
        self.folder = options.out / engine
        self.all = cases(options.only)
        self.at_once = options.at_once
        self.late, self.rows = 0, []
        settings = {"DEEPGRAM_MODEL": ENGINES[engine], "TRUNKLINE_CALL_DURATION_MAX_S": str(CALL_S_MAX)}
        self.platform = rig.Platform(rig.binary(options.bin), self.folder, {}, {}, settings)
        self.register(agents)

    def register(self, agents):
        """Tells the transcriber which sounds have which words, the agent's own among them."""
        known = {(words, sound.tobytes()): sound for case in self.all for words, sound in case.known}
        known |= {(words, "agent"): sound for words, sound in agents}
        for text in LEADS:
            for voice, speed in sounds.VOICES:
                known[text, voice] = sounds.at_level(sounds.speech(text, voice, speed), sounds.USUAL_DB)
        for number, ((words, _), sound) in enumerate(known.items()):
            sounds.save(self.folder / "lines" / f"known-{number}.wav", sound)
            (self.folder / "lines" / f"known-{number}.txt").write_text(words + "\n")

    def run(self):
        files = Sounds(self.folder / "sounds")
        waiting, placed = list(self.all), 0
        # So that like cases do not share a call, in the same order every time.
        random.Random(1).shuffle(waiting)
        with self.platform:
            # The first call finds documents that are not embedded yet.
            self.platform.place([files.file(sounds.speech("Yes.", *sounds.VOICES[0]))], [])
            for _ in range(ROUNDS):
                calls = packed(waiting, files, placed)
                placed += len(calls)
                rig.say(f"{self.folder.name}: {len(waiting)} cases in {len(calls)} calls")
                with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
                    reports = list(pool.map(lambda call: self.platform.place(call.plays, call.options), calls))
                waiting = self.take(calls, reports)
                if not waiting:
                    break
        self.unscored = waiting

    def take(self, calls, reports):
        """Scores calls; gives back the cases that have to be played again."""
        again, events = [], self.platform.events()
        with open(self.folder / "reports.jsonl", "a") as kept:
            kept.writelines(json.dumps(report) + "\n" for report in reports)
        for call, report in zip(calls, reports):
            stopped = set()
            log = Log(report, events)
            for nth, (case, line, offset) in enumerate(call.cases):
                following = call.cases[nth + 1] if nth + 1 < len(call.cases) else None
                until = log.at(line, following[2]) if following and following[1] == line and len(report["lines"]) > line else 1 << 62
                row = None if line in stopped else score(case, line, offset, log, until)
                if row and log.late(line, offset, case):
                    self.late += 1
                    row = None
                if row and row.get("kept") is False:
                    stopped.add(line)
                if row is None:
                    again.append(case)
                else:
                    self.rows.append({"scenario": case.name, "case": case.label(), "level_db": case.level_db,
                                      "call": rig.call_id(report), "at_s": round((log.at(line, offset) - rig.at(report["answered"])) / 1e6, 3) if case.measure != "echo" else 0} | row)
        (self.folder.parent / f"{self.folder.name}.json").write_text(json.dumps(self.rows, indent=1, ensure_ascii=False))
        return again


def agents_lines(options):
    """What the agent says to the callers of `echo`, as sounds with their words."""
    folder = options.out / "agent"
    platform = rig.Platform(rig.binary(options.bin), folder, {}, {})
    lead = sounds.at_level(sounds.speech(LEADS[0], *sounds.VOICES[0]), sounds.USUAL_DB)
    sounds.save(folder / "lines" / "lead.wav", lead)
    (folder / "lines" / "lead.txt").write_text(LEADS[0] + "\n")
    rig.say("a call to know the agent's voice by")
    with platform:
        log = Log(platform.place([folder / "lines" / "lead.wav"], [f"--save={folder / 'call.wav'}"]), [])
        said = [event["text"] for event in platform.events() if event["vendor"] == "cartesia" and event["name"] == "speaks"]
    _, heard = sounds.sides(folder / "call.wav")
    answered = rig.at(log.report["answered"])
    pieces = [heard[(first - answered) // 125:(last - answered) // 125] for first, last in log.utterances[:2]]
    # The fillers and other phrases are spoken at the start; the answer is what comes after the greeting.
    answer = said[next(at for at, text in enumerate(said) if text.startswith("Certainly")):]
    return list(zip([GREETING, "".join(answer)], pieces))


def share(rows, field):
    return sum(bool(row.get(field)) for row in rows) / len(rows) if rows else None


def measures(rows):
    """The table: name, number of cases, value, unit, and the target as (sign, bound)."""
    of = lambda *names: [row for row in rows if row["scenario"] in names]
    numbers = lambda some, field: [row[field] for row in some if row.get(field) is not None]
    pct = lambda some, field: (len(some), share(some, field), "%")
    percentile = lambda values, part: (len(values), rig.percentile(values, part) if values else None, "ms")
    ends, held, interrupted = of("ends"), of("backchannels", "noises"), of("interruptions")
    stops = [row["stop_ms"] if row["stop_ms"] is not None else float("inf") for row in interrupted]
    loud = of("loud_sounds")
    resumed = numbers(rows, "resume_ms")
    return [
        ("pauses: takeover", *pct(of("pauses"), "takeover"), ("<=", 0.10)),
        ("pauses: the model was asked inside", *pct(of("pauses"), "asked_early"), None),
        ("pauses: answered after all", *pct(of("pauses"), "answered"), None),
        ("ends: answered", *pct(ends, "answered"), (">=", 0.95)),
        ("ends: end of turn decided, p50", *percentile(numbers(ends, "decided_ms"), 0.5), ("<=", 600)),
        ("ends: end of turn decided, p95", *percentile(numbers(ends, "decided_ms"), 0.95), None),
        ("ends: answer heard, p50", *percentile(numbers(ends, "heard_ms"), 0.5), None),
        ("ends: answer heard, p95", *percentile(numbers(ends, "heard_ms"), 0.95), None),
        ("backchannels and noises: no clear", *pct(held, "kept"), (">=", 0.95)),
        ("  backchannels: no clear", *pct(of("backchannels"), "kept"), None),
        ("  noises: no clear", *pct(of("noises"), "kept"), None),
        ("  lost the floor", *pct(held, "stopped"), ("<=", 0.05)),
        ("interruptions: stopped", len(stops), sum(stop < float("inf") for stop in stops) / len(stops) if stops else None, "%", (">=", 0.95)),
        ("interruptions: onset to clear, p50", *percentile(stops, 0.5), None),
        ("interruptions: onset to clear, p95", *percentile(stops, 0.95), ("<=", 250)),
        ("loud sounds without words: given back", len(loud), 1 - share(loud, "stopped") if loud else None, "%", (">=", 0.95)),
        ("false barge-ins: resumed after, max", *percentile(resumed, 1.0), ("<=", RESUME_US / 1000)),
        ("echo: no clear", *pct(of("echo"), "kept"), (">=", 1.0)),
        ("side talk over the agent: no clear", *pct(of("side_over_agent"), "kept"), (">=", 0.95)),
        ("side talk while listening: takeover", *pct(of("side_while_listening"), "takeover"), None),
    ]


def show(engine, run):
    """Prints the table; true if no target is missed."""
    print(f"\nturn-taking with {engine} ({ENGINES[engine]})")
    print(f"  {'':42}{'n':>5}{'value':>10}  {'target':>10}")
    missed = 0
    for name, count, value, unit, target in measures(run.rows):
        if not count:
            shown, verdict = "-", ""
            # What did not happen has no time to be measured.
            missed += bool(target) and unit == "%" and not run.partial
        else:
            factor = 100 if unit == "%" else 1
            shown = f"{value * factor:.1f} {unit}"
            met = target and (value <= target[1] if target[0] == "<=" else value >= target[1])
            missed += bool(target) and not met
            verdict = f"{target[0]} {target[1] * factor:g} {unit}  {'met' if met else 'MISSED'}" if target else ""
        print(f"  {name:42}{count:5}{shown:>10}  {verdict:>10}")
    for case in run.unscored:
        print(f"  not scored: {case.name}: {case.label()}")
    print(f"  cases played again because this machine was late: {run.late}")
    sys.stdout.flush()
    return not missed and not run.unscored


def main():
    parser = argparse.ArgumentParser(description="Turn-taking on audio, scored by what the carrier saw.")
    parser.add_argument("--bin", help="the binary to measure [default: target/release/trunkline, else target/debug]")
    parser.add_argument("--out", type=pathlib.Path, default=rig.ROOT / "out" / "turns", help="where logs and rows go")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="only this transcriber")
    parser.add_argument("--only", action="append", help="only the scenarios of this file of tests/turns")
    parser.add_argument("--at-once", type=int, default=10, help="calls at a time [10]")
    options = parser.parse_args()
    good, agents = True, agents_lines(options) if not options.only or "echo" in options.only else []
    for engine in options.engine or ENGINES:
        run = Run(engine, options, agents)
        run.partial = bool(options.only)
        run.run()
        good &= show(engine, run)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
