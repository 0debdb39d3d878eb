"""Sounds for the scenarios of turn-taking: speech by espeak-ng, prompts of Debian's package, noises by sox; 8 kHz mono.

Levels are root mean squares of the louder half of the 20 ms frames, in dB of full scale, so that pauses do not count.
"""

import array
import functools
import math
import pathlib
import subprocess
import wave

RATE_HZ = 8000
FRAME = RATE_HZ // 50
PROMPTS = pathlib.Path("/usr/share/asterisk/sounds/en_US_f_Allison")
# The level of a caller who speaks as usual, in dB of full scale.
USUAL_DB = -22
# A voice and its words a minute; a case takes one by its place.
VOICES = [("en-us+f3", 175), ("en-gb+m3", 160), ("en-us+m1", 190), ("en-gb+f2", 165), ("en-gb-scotland+m7", 170), ("en-us+f5", 180)]
# As arguments of sox after `-n -r 8000 -c 1 -b 16 OUT`. Noise is drawn anew in each run by sox itself, with -R the same.
NOISES = {
    "cough": "synth 0.28 pinknoise bandpass 900 1200 fade h 0.008 0.28 0.2",
    "double_cough": "synth 0.22 pinknoise bandpass 700 900 fade h 0.008 0.22 0.16 pad 0 0.15 repeat 1",
    "click": "synth 0.012 whitenoise highpass 1000 fade h 0.001 0.012 0.008",
    "keyboard": "synth 0.02 whitenoise highpass 1200 fade h 0.001 0.02 0.015 pad 0 0.13 repeat 5",
    "door": "synth 0.4 brownnoise lowpass 300 fade h 0.004 0.4 0.35",
    "breath": "synth 0.6 pinknoise bandpass 1500 1500 fade h 0.25 0.6 0.3",
    "line_noise": "synth 1.2 whitenoise fade h 0.02 1.2 0.02",
    "crackle": "synth 0.004 whitenoise pad 0 0.06 repeat 11",
}


def sox(*arguments, stdin=None):
    """Runs sox and gives the samples it makes."""
    done = subprocess.run(["sox", "-R", *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(f"sox {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return array.array("h", done.stdout)


RAW = ["-t", "raw", "-r", str(RATE_HZ), "-c", "1", "-b", "16", "-e", "signed", "-"]


@functools.cache
def noise(name):
    return sox("-n", *RAW, *NOISES[name].split())


@functools.cache
def human(name):
    return trimmed(sox(str(PROMPTS / f"{name}.wav"), *RAW))


@functools.cache
def speech(text, voice, words_a_minute):
    spoken = subprocess.run(["espeak-ng", "-v", voice, "-s", str(words_a_minute), "--stdout", text],
                            stdout=subprocess.PIPE, check=True).stdout
    return trimmed(sox("-t", "wav", "-", *RAW, "gain", "-3", stdin=spoken))


def frames(samples):
    return [sum(sample * sample for sample in samples[at:at + FRAME]) / FRAME
            for at in range(0, len(samples) - FRAME + 1, FRAME)]


def trimmed(samples):
    """Without the silence at both ends."""
    energy = frames(samples)
    loud = [index for index, value in enumerate(energy) if value > max(energy) * 1e-4]
    return samples[loud[0] * FRAME:(loud[-1] + 1) * FRAME]


def at_level(samples, db):
    """With another level."""
    energy = sorted(frames(samples) or [sum(sample * sample for sample in samples) / len(samples)])
    louder = energy[len(energy) // 2:]
    factor = 32768 * 10 ** (db / 20) / math.sqrt(sum(louder) / len(louder))
    return array.array("h", (max(-32768, min(32767, round(sample * factor))) for sample in samples))


def silence(seconds):
    return array.array("h", bytes(2 * round(seconds * RATE_HZ)))


def save(path, samples):
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        sound.writeframes(samples.tobytes())


def sides(path):
    """Both channels of a stereo file."""
    with wave.open(str(path)) as sound:
        samples = array.array("h", sound.readframes(sound.getnframes()))
    return samples[::2], samples[1::2]
