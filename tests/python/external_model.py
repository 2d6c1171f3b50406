"""Small models that keep their weights in another file: y = x + [1, 2, 3, 4].

    external_model.py FOLDER    writes weights.bin, good.onnx, and models that must be refused:
                                upwards.onnx, absolute.onnx (names outside of the folder), beyond.onnx (bytes that the file hasn't)
"""

import pathlib
import sys

import numpy as np
from onnx import TensorProto, helper

folder = pathlib.Path(sys.argv[1])
weights = np.array([1, 2, 3, 4], dtype=np.float32)
(folder / "weights.bin").write_bytes(b"\0" * 4096 + weights.tobytes())


def write(name, location, offset=4096):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in [("location", location), ("offset", str(offset)), ("length", "16")]:
        tensor.external_data.add(key=key, value=value)
    rows = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4])
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [rows("x")], [rows("y")], initializer=[tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / name).write_bytes(model.SerializeToString())


write("good.onnx", "weights.bin")
write("upwards.onnx", "../weights.bin")
write("absolute.onnx", str((folder / "weights.bin").resolve()))
write("beyond.onnx", "weights.bin", 4100)
