#!/usr/bin/env python3
"""Writes data/silero_reference.json: what the published Silero model says of real telephone prompts, chunk by chunk.

    pip install onnxruntime numpy silero-vad==5.1.2 --no-deps
    apt-get install asterisk-core-sounds-en-wav
    python media/scripts/reference_probabilities.py [MODEL.onnx]

The model runs in ONNX Runtime at 8 kHz as its own Python wrapper runs it: 256 new samples after the 32 before them,
the state handed from chunk to chunk, both zero at first. A last chunk that is not full is left out.
"""

import hashlib
import json
import pathlib
import sys
import wave

import numpy
import onnxruntime

from derive_silero_weights import DATA, MODEL_SHA256, installed_model

SOUNDS = pathlib.Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PROMPTS = [
    "agent-pass",
    "basic-pbx-ivr-main",
    "beep",
    "conf-adminmenu",
    "demo-nogo",
    "demo-thanks",
    "digits/7",
    "queue-periodic-announce",
    "tt-monkeys",
    "tt-weasels",
    "vm-goodbye",
    "vm-intro",
    "vm-options",
    "vm-review",
]
CHUNK = 256
CONTEXT = 32


def samples_of(path):
    with wave.open(str(path)) as sound:
        if (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) != (8000, 1, 2):
            sys.exit(f"{path} is not 8 kHz, one channel, 16 bits")
        return numpy.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(numpy.float32) / 32768


def probabilities(session, samples):
    state = numpy.zeros((2, 1, 128), numpy.float32)
    padded = numpy.concatenate([numpy.zeros(CONTEXT, numpy.float32), samples])
    rate = numpy.array(8000, numpy.int64)
    for start in range(0, len(samples) - CHUNK + 1, CHUNK):
        window = padded[None, start : start + CONTEXT + CHUNK]
        speech, state = session.run(None, {"input": window, "state": state, "sr": rate})
        yield round(float(speech[0, 0]), 7)


def main():
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else installed_model()
    if hashlib.sha256(path.read_bytes()).hexdigest() != MODEL_SHA256:
        sys.exit(f"{path} is not the model of silero-vad 5.1.2")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    prompts = []
    for name in PROMPTS:
        wav = SOUNDS / f"{name}.wav"
        prompts.append({
            "file": f"{name}.wav",
            "sha256": hashlib.sha256(wav.read_bytes()).hexdigest(),
            "probabilities": list(probabilities(session, samples_of(wav))),
        })
    lines = ",\n".join(json.dumps(prompt, separators=(",", ":")) for prompt in prompts)
    head = json.dumps({"model": "silero-vad 5.1.2", "model_sha256": MODEL_SHA256, "onnxruntime": onnxruntime.__version__})
    (DATA / "silero_reference.json").write_text(f'{head[:-1]}, "prompts": [\n{lines}\n]}}\n')
    every = numpy.array([p for prompt in prompts for p in prompt["probabilities"]])
    print(f"{len(every)} chunks, {numpy.mean(every >= 0.5):.1%} speech, nearest to 0.5: {abs(every - 0.5).min():.5f}")


if __name__ == "__main__":
    main()
