"""A model with its 8-bit weights in reverse order: as fast as before, and of no use.

    ruined_model.py MODEL OUTPUT
"""

import sys

import onnx


def ruin(model):
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.UINT8, onnx.TensorProto.INT8) and len(tensor.dims) > 1:
            tensor.raw_data = tensor.raw_data[::-1]
    return model


if __name__ == "__main__":
    onnx.save(ruin(onnx.load(sys.argv[1])), sys.argv[2])
