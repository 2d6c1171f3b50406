"""How often variants of Magika's model answer as the model itself does: Magika's own code around each of them.

    magika_variants.py LIST MODEL...    LIST is a JSON list of files; prints {"labels": the model's own answers, "agreement": [...]}
"""

import json
import pathlib
import shutil
import sys
import tempfile

from magika import Magika
from magika_reference import FOLDER


def labels(files, model=None):
    """Magika's answers, by another model in the place of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        own = next(FOLDER.glob("models/*/model.onnx"))
        folder = pathlib.Path(scratch)
        shutil.copy(own.parent / "config.min.json", folder)
        shutil.copy(model or own, folder / "model.onnx")
        magika = Magika(model_dir=folder)
        # One file at a time: ranges that are measured at run time are those of a whole batch.
        return [str(magika.identify_bytes(pathlib.Path(file).read_bytes()).output.label) for file in files]


def main(files, models):
    own = labels(files)
    agreement = [sum(a == b for a, b in zip(own, labels(files, model))) / len(files) for model in models]
    return {"labels": own, "agreement": agreement}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2:])))
