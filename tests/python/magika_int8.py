"""Makes the INT8 variant of Magika's model that tests serve: by quantize.py, with ranges measured on files of pinned packages.

    magika_int8.py OUTPUT
"""

import json
import pathlib
import sys
import tempfile

import numpy as np
import onnx
from magika_reference import FOLDER

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "server/src/quantize"))
from quantize import quantize

SAMPLES = 60


def samples():
    """Files of all kinds, the same on every machine: what is compiled here is left out."""
    files = [
        path
        for package in (FOLDER, pathlib.Path(onnx.__file__).parent)
        for path in sorted(package.rglob("*"))
        if path.is_file() and path.suffix not in (".pyc", ".so")
    ]
    return files[:: len(files) // SAMPLES][:SAMPLES]


def windows(content):
    """The first and the last 1024 bytes, as the manifest's bytes step takes them."""
    head, tail = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
    padding = [256]
    row = list(head) + padding * (1024 - len(head)) + padding * (1024 - len(tail)) + list(tail)
    return np.array([row], dtype=np.int32)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "inputs.json").write_text(json.dumps(["bytes"]))
        for at, file in enumerate(samples()):
            (folder / f"{at:06}").mkdir()
            np.save(folder / f"{at:06}" / "0.npy", windows(file.read_bytes()))
        model = next(FOLDER.glob("models/*/model.onnx"))
        print(json.dumps(quantize(model, sys.argv[1], folder)))
