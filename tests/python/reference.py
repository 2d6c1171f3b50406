"""The input that the client scripts send, and the model's own answer to it."""

import importlib.util
import pathlib

import numpy as np
import onnxruntime

TEXT = b"import os\n\ndef main():\n    print(os.getcwd())\n"


def tokens(rows=1):
    head = list(TEXT.lstrip()) + [256] * (1024 - len(TEXT.lstrip()))
    tail = [256] * (1024 - len(TEXT.rstrip())) + list(TEXT.rstrip())
    return np.array([head + tail] * rows, dtype=np.int32)


def answer(rows=1):
    folder = pathlib.Path(importlib.util.find_spec("magika").origin).parent
    session = onnxruntime.InferenceSession(str(next(folder.glob("models/*/model.onnx"))))
    return session.run(None, {session.get_inputs()[0].name: tokens(rows)})[0]


def near(found, rows=1):
    return found is not None and found.shape == answer(rows).shape and bool(np.allclose(found, answer(rows), atol=1e-5))
