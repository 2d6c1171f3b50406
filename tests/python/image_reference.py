"""Input steps of images as PIL, numpy and torchvision define them. Nothing of ours.

    image_reference.py FOLDER    reads a JSON list of {"file", "steps"}, the steps as a manifest has them, and writes for each
                                 FOLDER/N.bin: 32-bit floats if it normalises, else bytes; prints [{"shape"}]
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image, ImageOps


def pixels(file):
    """Upright pixels of the first frame, as RGB."""
    image = Image.open(file)
    image.seek(0)
    if image.mode.startswith("I;16"):
        # Here PIL's convert cuts at 255: a picture would be white. Of colours with 16 bits PIL keeps the high byte.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return ImageOps.exif_transpose(image).convert("RGB")


def resized(image, width, height, mode="Stretch", filter="Bilinear", anchor="Centre", fill=114):
    wide, high = image.size
    how = getattr(Image.Resampling, filter.upper())
    if mode == "Stretch":
        return image.resize((width, height), how)
    if mode == "ShortestSide":  # torchvision.transforms.functional.resize with one number
        assert width == height
        short, long = min(wide, high), max(wide, high)
        sizes = (width, int(width * long / short))
        return image.resize(sizes if wide <= high else sizes[::-1], how)
    ratio = min(width / wide, height / high)
    inner = (max(1, round(wide * ratio)), max(1, round(high * ratio)))
    framed = Image.new(image.mode, (width, height), (fill,) * len(image.getbands()) if image.mode == "RGB" else fill)
    at = (0, 0) if anchor == "TopLeft" else ((width - inner[0]) // 2, (height - inner[1]) // 2)
    framed.paste(image.resize(inner, how), at)
    return framed


def cropped(image, width, height):
    """torchvision.transforms.functional.center_crop."""
    wide, high = image.size
    if width > wide or height > high:
        left, right = ((width - wide) // 2, (width - wide + 1) // 2) if width > wide else (0, 0)
        top, bottom = ((height - high) // 2, (height - high + 1) // 2) if height > high else (0, 0)
        image = ImageOps.expand(image, (left, top, right, bottom), 0)
        wide, high = image.size
    left, top = int(round((wide - width) / 2.0)), int(round((high - height) / 2.0))
    return image.crop((left, top, left + width, top + height))


def normalized(values, scale=None, mean=(), std=(), layout="NCHW"):
    """torchvision's to_tensor and normalize: 32-bit floats throughout."""
    values = values.astype(np.float32)
    values = values / np.float32(255) if scale is None else values * np.float32(scale)
    if mean:
        values = values - np.array(mean, dtype=np.float32)
    if std:
        values = values / np.array(std, dtype=np.float32)
    return values if layout == "NHWC" else values.transpose(2, 0, 1)


def tensor(file, steps):
    (decode,) = steps[0].values()
    color = decode.get("color", "RGB")
    image = pixels(file)
    if color == "Gray":
        image = image.convert("L")
    last = None
    for step in steps[1:]:
        ((name, fields),) = step.items()
        if name == "resize":
            image = resized(image, **fields)
        elif name == "centreCrop":
            image = cropped(image, **fields)
        else:
            last = fields
    values = np.asarray(image)
    values = values[:, :, None] if values.ndim == 2 else values
    values = values[:, :, ::-1] if color == "BGR" else values
    return values if last is None else normalized(values, **last)


def main(folder):
    shapes = []
    for number, case in enumerate(json.load(sys.stdin)):
        made = np.ascontiguousarray(tensor(case["file"], case["steps"]))
        (pathlib.Path(folder) / f"{number}.bin").write_bytes(made.tobytes())
        shapes.append({"shape": made.shape})
    return shapes


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
