"""Magika's own answers: the reference that the served model is held to.

`--model` prints where the package keeps its ONNX file; otherwise each argument is a file to identify.
"""

import importlib.util
import json
import pathlib
import sys

FOLDER = pathlib.Path(importlib.util.find_spec("magika").origin).parent


def main(arguments):
    if arguments == ["--model"]:
        return {"model": str(next(FOLDER.glob("models/*/model.onnx")))}
    from magika import Magika

    magika = Magika()
    results = [magika.identify_bytes(pathlib.Path(path).read_bytes()) for path in arguments]
    return [{"label": str(result.output.label), "score": float(result.score)} for result in results]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
