#!/usr/bin/env python3
"""Re-derives data/silero_v5_8k.bin, the 8 kHz weights of Silero VAD, from the published model.

    pip install onnx numpy silero-vad==5.1.2 --no-deps
    python media/scripts/derive_silero_weights.py [--check] [MODEL.onnx]

The model is the one in silero-vad 5.1.2; the crate voice_activity_detector 0.2.1 carries the same bytes
(src/silero_vad.onnx). Any other file is refused by its SHA-256. Without an argument the installed package is used.
--check writes nothing and fails if the committed file differs.

Layout, little endian:
    8 bytes    magic "SILERO8K"
    64 bytes   where the weights come from, ASCII, zero padded
    32 bytes   SHA-256 of the model they were taken from
    u32        number of tensors
    per tensor 32 bytes name (ASCII, zero padded), 3 x u32 dimensions (1 where there are fewer)
    f32 ...    the tensors' values in the order of the table, row major
"""

import argparse
import hashlib
import importlib.util
import pathlib
import struct
import sys

import numpy
import onnx
from onnx import numpy_helper

MODEL_SHA256 = "2623a2953f6ff3d2c1e61740c6cdb7168133479b267dfef114a4a3cc5bdd788f"
ORIGIN = "silero-vad 5.1.2, 8 kHz branch, MIT licence (LICENSE.silero)"
DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
TENSORS = {
    "stft.forward_basis_buffer": (130, 1, 128),
    "encoder.0.reparam_conv.weight": (128, 65, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias_ih": (512,),
    "decoder.rnn.bias_hh": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}


def installed_model():
    # find_spec does not import the package, which would need torch.
    spec = importlib.util.find_spec("silero_vad")
    if spec is None:
        sys.exit("no model given and silero-vad is not installed: pip install silero-vad==5.1.2 --no-deps")
    return pathlib.Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.onnx"


def tensors_at_8_khz(model):
    """The constants of the branch that the model takes for any rate but 16 kHz."""
    choice = next(node for node in model.graph.node if node.op_type == "If")
    branch = next(a.g for a in choice.attribute if a.name == "else_branch")
    return {
        node.output[0].split("__")[-1]: numpy_helper.to_array(node.attribute[0].t)
        for node in branch.node
        if node.op_type == "Constant"
    }


def encode(found):
    out = bytearray(b"SILERO8K" + ORIGIN.encode().ljust(64, b"\0") + bytes.fromhex(MODEL_SHA256))
    out += struct.pack("<I", len(TENSORS))
    for name, shape in TENSORS.items():
        if found[name].shape != shape:
            sys.exit(f"{name} has the shape {found[name].shape}, not {shape}")
        out += name.encode().ljust(32, b"\0") + struct.pack("<3I", *(shape + (1, 1))[:3])
    for name in TENSORS:
        out += numpy.ascontiguousarray(found[name], dtype="<f4").tobytes()
    return bytes(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=pathlib.Path)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    arguments = parser.parse_args()
    path = arguments.model or installed_model()
    published = path.read_bytes()
    digest = hashlib.sha256(published).hexdigest()
    if digest != MODEL_SHA256:
        sys.exit(f"{path} has the SHA-256 {digest}, not {MODEL_SHA256}: it is not the model of silero-vad 5.1.2")
    weights = encode(tensors_at_8_khz(onnx.load_from_string(published)))
    target = DATA / "silero_v5_8k.bin"
    if arguments.check:
        if target.read_bytes() != weights:
            sys.exit(f"{target} is not what the published model gives")
        print(f"{target.name} is what the published model gives")
        return
    target.write_bytes(weights)
    digest = hashlib.sha256(weights).hexdigest()
    (DATA / f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n")
    print(f"{target.name}: {len(weights)} bytes, SHA-256 {digest}")


if __name__ == "__main__":
    main()
