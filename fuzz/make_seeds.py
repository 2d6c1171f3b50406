"""Writes seeds/TARGET: small inputs of every kind that a target knows, for the fuzzer to begin with.

    python fuzz/make_seeds.py    with the versions in tests/python/requirements.txt
"""

import io
import json
import pathlib
import struct
import wave

import numpy as np
from onnx import TensorProto, helper
from PIL import Image
from tritonclient.grpc import service_pb2

SEEDS = pathlib.Path(__file__).parent / "seeds"


def seed(target, name, content):
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def tensor(datatype, shape, data):
    return {"name": "x", "datatype": datatype, "shape": shape, "data": data}


# Bodies of JSON.
for name, body in {
    "infer": {"id": "7", "inputs": [tensor("FP32", [2, 2], [1, 2.5, -3e-2, 0])], "outputs": [{"name": "x"}]},
    "nested": {"inputs": [tensor("INT64", [2, 2], [[1, -2], [3, 9223372036854775807]])]},
    "texts": {"inputs": [tensor("BYTES", [2], ["a \u00fc", {"b64": "Yg=="}])]},
    "halves": {"inputs": [tensor("FP16", [1, 2], [0.5, 65504]), tensor("BF16", [1], [1e38])]},
    "small": {"inputs": [tensor("BOOL", [2], [True, 0]), tensor("UINT8", [1], [255]), tensor("INT8", [1], [-128])]},
    "parameters": {"parameters": {"priority": 2, "timeout": 1000, "binary_data_output": True}, "inputs": []},
    "predict": {"instances": [[1, 2], [3, 4]]},
    "embeddings": {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 3, "user": "u"},
    "tokens": {"model": "m", "input": [[1, 2], [3]]},
}.items():
    seed("json", name, json.dumps(body).encode())

# The same with raw tensors, and raw bodies.
def binary(name, inputs, raw):
    head = json.dumps({"inputs": inputs}).encode()
    seed("binary", name, struct.pack("<H", len(head)) + head + raw)


def raw_input(datatype, shape, size):
    return {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


binary("floats", [raw_input("FP32", [1, 2], 8)], struct.pack("<2f", 1, float("nan")))
binary("texts", [raw_input("BYTES", [2], 11)], b"\1\0\0\0a\2\0\0\0\xff\0")
binary("two", [raw_input("FP16", [1, 2], 4), raw_input("BOOL", [3], 3)], b"\0\x3c\0\x7e\0\1\2")
binary("mixed", [tensor("INT32", [1], [7]), raw_input("UINT64", [1], 8)], b"\xff" * 8)
seed("binary", "raw", struct.pack("<H", 0) + struct.pack("<2f", 1, 2))

# Messages.
def message(name, **fields):
    seed("grpc", name, service_pb2.ModelInferRequest(model_name="m", **fields).SerializeToString())


Input = service_pb2.ModelInferRequest().InferInputTensor
message("raw", inputs=[Input(name="x", datatype="FP32", shape=[1, 2])], raw_input_contents=[struct.pack("<2f", 1, 2)])
message("texts", inputs=[Input(name="x", datatype="BYTES", shape=[2])], raw_input_contents=[b"\1\0\0\0a\0\0\0\0"])
for datatype, field, values in [
    ("FP32", "fp32_contents", [1.5, 2]),
    ("INT8", "int_contents", [1, -128]),
    ("UINT16", "uint_contents", [0, 65535]),
    ("INT64", "int64_contents", [-1, 1]),
    ("BOOL", "bool_contents", [True, False]),
    ("BYTES", "bytes_contents", [b"a", b"\xff"]),
]:
    contents = service_pb2.InferTensorContents(**{field: values})
    message(datatype, inputs=[Input(name="x", datatype=datatype, shape=[2], contents=contents)])
asked = service_pb2.ModelInferRequest(model_name="m", id="7")
asked.parameters["priority"].int64_param = 2
asked.parameters["timeout"].uint64_param = 1000
asked.outputs.add(name="x")
seed("grpc", "parameters", asked.SerializeToString(deterministic=True))

# Images of each format and kind.
shades = np.add.outer(np.arange(9) * 20, np.arange(12) * 10).astype(np.uint8)
colour = Image.fromarray(np.stack([shades, shades.T[:9, :9].repeat(2, axis=1)[:, :12], 255 - shades], axis=2))


def image(name, picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    seed("image", name, out.getvalue())


turned = Image.Exif()
turned[0x0112] = 6
image("jpeg", colour, "JPEG", exif=turned)
image("jpeg_progressive", colour, "JPEG", progressive=True)
image("jpeg_gray", colour.convert("L"), "JPEG")
image("jpeg_cmyk", colour.convert("CMYK"), "JPEG")
image("png", colour, "PNG")
image("png_palette", colour.quantize(8), "PNG", transparency=0)
image("png_wide", Image.fromarray(shades.astype(np.uint16) * 257), "PNG")
image("png_bits", colour.convert("1"), "PNG")
image("webp", colour, "WEBP")
image("webp_lossless", colour.convert("RGBA"), "WEBP", lossless=True)
image("webp_animated", colour, "WEBP", save_all=True, append_images=[colour.transpose(0)])
image("gif", colour.quantize(8), "GIF")
image("gif_animated", colour.quantize(8), "GIF", save_all=True, append_images=[colour.transpose(0).quantize(8)])

# Audio of each kind.
tone = (np.sin(np.arange(600) / 5) * 20_000).astype(np.int16)


def wav(name, channels, width, rate, frames):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames)
    seed("audio", name, out.getvalue())


wav("wav", 1, 2, 8000, tone.tobytes())
wav("wav_stereo", 2, 2, 16000, tone.tobytes())
wav("wav_bytes", 1, 1, 8000, bytes(range(256)))
wav("wav_wide", 1, 3, 44100, bytes(range(255)))
floats = tone[:100].astype(np.float32) / 32768
head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + 400, b"WAVE", b"fmt ", 16, 3, 1, 8000, 32000, 4, 32, b"data", 400)
seed("audio", "wav_float", head + floats.tobytes())


def crc(data, width, polynomial):
    """The check sums of FLAC's headers (8 bits) and frames (16 bits)."""
    value, top = 0, 1 << (width - 1)
    for byte in data:
        value ^= byte << (width - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & ((1 << width) - 1)
    return value


def flac(name, channels, samples):
    """Frames of samples as they are: 16 bits, 8000 a second, blocks of 192 samples."""
    block = 192
    info = struct.pack(">HH", block, block) + b"\0" * 6 + (8000 << 44 | (channels - 1) << 41 | 15 << 36 | len(samples)).to_bytes(8, "big")
    out = b"fLaC" + b"\x80\0\0\x22" + info + b"\0" * 16
    for number in range(len(samples) // block):
        frame = bytes([0xFF, 0xF8, 1 << 4 | 4, (channels - 1) << 4 | 4 << 1, number])
        frame += bytes([crc(frame, 8, 0x07)])
        for _ in range(channels):
            frame += b"\x02" + samples[number * block : (number + 1) * block].astype(">i2").tobytes()
        out += frame + crc(frame, 16, 0x8005).to_bytes(2, "big")
    seed("audio", name, out)


flac("flac", 1, tone[:576])
flac("flac_stereo", 2, tone[:192])

# Bodies with texts: JSON after an even byte, texts after an odd one.
for name, text in {"plain": "a Bb \u00e9. \u65e5\u672c \0 \U0001f980", "spaces": " \t\u3000\u200b a", "long": "ab " * 40}.items():
    seed("text", name, b"\1" + text.encode())
for name, body in {"one": "a b", "object": {"text": "a"}, "list": ["a", {"text": "b" * 30}, ""], "objects": {"text": ["a", "b."]}}.items():
    seed("text", f"json_{name}", b"\0" + json.dumps(body).encode())

# Models: one whole, and some with parts that lie elsewhere: weights, sparse ones, those of a function, a built engine.
def external(name):
    weights = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in [("location", "w.bin"), ("offset", "64"), ("length", "8")]:
        weights.external_data.add(key=key, value=value)
    return weights


def model(name, weights, sparse=(), functions=(), more=()):
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2])
    constant = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.FLOAT, [1], [3]))
    branch = helper.make_graph([constant], "b", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])])
    nodes = [helper.make_node("Add", ["x", "w"], ["y"]), helper.make_node("If", ["t"], ["z"], then_branch=branch, else_branch=branch), *more]
    graph = helper.make_graph(nodes, "g", [value("x")], [value("y")], initializer=[weights], sparse_initializer=sparse)
    seed("onnx", name, helper.make_model(graph, functions=functions).SerializeToString())


whole = helper.make_tensor("w", TensorProto.FLOAT, [2], [1, 2])
model("whole", whole)
model("external", external("w"))
places = helper.make_tensor("", TensorProto.INT64, [2], [0, 3])
model("sparse", whole, sparse=[helper.make_sparse_tensor(external("s"), places, [4])])
constant = helper.make_node("Constant", [], ["c"], value=external("c"))
model("function", whole, functions=[helper.make_function("own", "f", [], ["c"], [constant], [helper.make_opsetid("", 17)])])
model("engine", whole, more=[helper.make_node("EPContext", ["x"], ["e"], domain="com.microsoft", ep_cache_context="m.engine", embed_mode=0)])
