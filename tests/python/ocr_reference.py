"""Images with text, and what RapidOCR reads in them. Nothing of ours but the images.

    ocr_reference.py MODELS FOLDER    draws images into FOLDER, and prints for each {"file", "alone"}

MODELS holds RapidOCR's models and, in python/, its package. `alone` are lines that were recognised one by one, so that none is padded
to the width of another. A line is {"text", "score", "box"}.
"""

import json
import os
import sys

from PIL import Image, ImageDraw, ImageFilter, ImageFont

DEJAVU = "/usr/share/fonts/truetype/dejavu/"
FONTS = {
    "sans": "DejaVuSans.ttf",
    "bold": "DejaVuSans-Bold.ttf",
    "serif": "DejaVuSerif.ttf",
    "mono": "DejaVuSansMono.ttf",
}


def font(kind, size):
    """DejaVu where Debian's package has put it, else the font that Pillow brings."""
    path = DEJAVU + FONTS[kind]
    return ImageFont.truetype(path, size) if os.path.exists(path) else ImageFont.load_default(size)


def page(width, height, lines, back="white", ink="black"):
    """Lines are (x, y, font, size, text)."""
    image = Image.new("RGB", (width, height), back)
    draw = ImageDraw.Draw(image)
    for x, y, kind, size, text in lines:
        draw.text((x, y), text, font=font(kind, size), fill=ink)
    return image


def turned(image, degrees, back="white"):
    return image.rotate(degrees, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=back)


def strip(text, kind="sans", size=34):
    """One line alone, as wide as it is."""
    left, top, right, bottom = font(kind, size).getbbox(text)
    return page(right + 20, bottom + 20, [(10, 8, kind, size, text)])


def images():
    three = [
        (30, 20, "sans", 32, "The quick brown fox"),
        (30, 90, "sans", 32, "jumps over the lazy dog"),
        (30, 160, "sans", 32, "0123456789"),
    ]
    yield "plain.png", page(640, 240, three)
    yield "sizes.png", page(
        900,
        420,
        [
            (40, 20, "sans", 18, "Small print at the top"),
            (40, 80, "serif", 28, "A line of middle size"),
            (40, 160, "bold", 44, "A larger headline"),
            (40, 280, "sans", 64, "Enormous"),
        ],
    )
    yield "dark.png", page(
        700,
        260,
        [(40, 40, "bold", 40, "Light on dark"), (40, 150, "serif", 36, "in another colour")],
        back=(20, 30, 70),
        ink=(250, 230, 120),
    )
    yield "receipt.png", page(
        520,
        420,
        [
            (30, 20, "mono", 24, "INVOICE 2026-11-26"),
            (30, 80, "mono", 24, "Coffee"),
            (380, 80, "mono", 24, "3.20"),
            (30, 140, "mono", 24, "Sandwich"),
            (380, 140, "mono", 24, "12.50"),
            (30, 200, "mono", 24, "Total"),
            (380, 200, "mono", 24, "15.70"),
            (30, 300, "mono", 24, "Thank you, come again!"),
        ],
    )
    yield "tilted.png", turned(page(560, 200, three[:2]), 11)
    yield "steep.png", turned(page(520, 120, [(20, 30, "bold", 36, "Up the steep hill")]), -35)
    upside = page(640, 260, [(30, 20, "sans", 34, "This line is upright")])
    upside.paste(turned(strip("This one is upside down"), 180), (30, 130))
    yield "upside.png", upside
    column = page(520, 520, [(40, 40, "sans", 34, "Beside a column")])
    column.paste(turned(strip("From bottom to top", "bold"), 90), (420, 60))
    yield "column.png", column
    yield "dense.png", page(
        1000,
        700,
        [
            (30 + 480 * (at % 2), 20 + 55 * (at // 2), "serif", 26, f"Row {at // 2 + 1}, cell {'AB'[at % 2]}: {at * 37:04d}")
            for at in range(24)
        ],
    )
    blurred = page(680, 220, [(40, 40, "sans", 38, "Slightly out of focus"), (40, 130, "mono", 30, "but still legible")])
    yield "blurred.png", blurred.filter(ImageFilter.GaussianBlur(1.2))
    yield "photo.jpg", page(
        800,
        500,
        [(60, 60, "bold", 54, "MILLRACE"), (60, 180, "sans", 36, "served from a picture"), (60, 330, "serif", 42, "line by line")],
        back=(205, 190, 160),
        ink=(60, 40, 30),
    )
    yield "large.png", page(
        1800,
        1300,
        [(100, 100 + 180 * at, "sans", 60, f"Paragraph {at + 1} of a large page") for at in range(6)],
    )
    yield "narrow.png", page(300, 120, [(20, 40, "sans", 26, "Just a label")])
    yield "empty.png", page(400, 300, [])


def read(engine, data):
    found, _ = engine(data)
    return [{"text": text, "score": float(score), "box": box} for box, text, score in found or []]


def main(models, folder):
    sys.path.insert(0, os.path.join(models, "python"))
    from rapidocr_onnxruntime import RapidOCR

    def engine(**settings):
        names = {"det_model_path": "detect", "cls_model_path": "classify", "rec_model_path": "recognise"}
        paths = {key: os.path.join(models, name + ".onnx") for key, name in names.items()}
        return RapidOCR(**paths, **settings)

    alone = engine(rec_batch_num=1)
    answers = []
    for name, image in images():
        path = os.path.join(folder, name)
        image.save(path, quality=92)
        with open(path, "rb") as file:
            data = file.read()
        answers.append({"file": path, "alone": read(alone, data)})
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
