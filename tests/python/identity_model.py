"""A model that gives back what it takes, for each element type an input x_TYPE and an output y_TYPE of three columns.

    identity_model.py FILE [TYPE ...]    without types: all
"""

import pathlib
import sys

from onnx import TensorProto, helper

ELEMENTS = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}

path, *names = sys.argv[1:]
names = names or list(ELEMENTS)
tensors = lambda letter: [helper.make_tensor_value_info(f"{letter}_{name}", ELEMENTS[name], ["rows", 3]) for name in names]
nodes = [helper.make_node("Identity", [f"x_{name}"], [f"y_{name}"]) for name in names]
graph = helper.make_graph(nodes, "identity", tensors("x"), tensors("y"))
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
pathlib.Path(path).write_bytes(model.SerializeToString())
