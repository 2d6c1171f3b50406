"""Image files of every kind that is served, made of real pictures, so that decoders can be held to PIL's.

    pictures.py PICTURES FOLDER    writes them, and prints [{"file", "lossy"}]: of lossy ones decoders may differ a little
"""

import json
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def png(samples, color, interlaced=False):
    """A PNG with samples of 16 bits, or one that is interlaced: PIL writes neither."""
    high, wide = samples.shape[:2]
    depth = samples.dtype.itemsize * 8
    big = samples.astype(samples.dtype.newbyteorder(">")).reshape(high, wide, -1)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    parts = [big[y::down, x::right] for x, y, right, down in passes] if interlaced else [big]
    lines = b"".join(b"\0" + row.tobytes() for part in parts if part.size for row in part)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", wide, high, depth, color, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


class Files:
    def __init__(self, folder):
        self.folder, self.list = pathlib.Path(folder), []

    def put(self, name, lossy, data):
        file = self.folder / name
        file.write_bytes(data)
        self.list.append({"file": str(file), "lossy": lossy})

    def save(self, name, lossy, image, **options):
        file = self.folder / name
        image.save(file, **options)
        self.list.append({"file": str(file), "lossy": lossy})


def jpegs(files, picture):
    for quality in (25, 75, 95):
        for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
            for progressive in (False, True):
                kind = f"{name}-{quality}-{'progressive' if progressive else 'baseline'}"
                options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
                files.save(f"{kind}.jpg", True, picture, **options)
    for wide, high in ((1, 1), (8, 8), (17, 13), (33, 1), (1, 40), (100, 63)):
        part = picture.crop((60, 40, 60 + wide, 40 + high))
        files.save(f"{wide}x{high}.jpg", True, part, quality=90)
    files.save("cmyk.jpg", True, picture.convert("CMYK"), quality=95)
    files.save("grey.jpg", True, picture.convert("L"), quality=90)
    files.save("restarts.jpg", True, picture, quality=80, restart_marker_blocks=3)


def pngs(files, picture):
    alpha = Image.fromarray(np.add.outer(np.arange(picture.height), np.arange(picture.width)).astype(np.uint8))
    clear = picture.copy()
    clear.putalpha(alpha)
    grey = picture.convert("L")
    both = grey.copy()
    both.putalpha(alpha)
    for name, image, options in (
        ("rgb", picture, {}),
        ("rgba", clear, {}),
        ("grey", grey, {}),
        ("grey-alpha", both, {}),
        ("bilevel", grey.convert("1"), {}),
        ("rgb-transparent", picture, {"transparency": picture.getpixel((0, 0))}),
        ("palette", picture.quantize(200), {}),
        ("palette-transparent", picture.quantize(200), {"transparency": 7}),
        ("palette-alphas", picture.quantize(16), {"transparency": bytes(range(0, 256, 16))}),
        ("palette-16", picture.quantize(16), {"bits": 4}),
        ("palette-4", picture.quantize(4), {"bits": 2}),
        ("palette-2", picture.quantize(2), {"bits": 1}),
    ):
        files.save(f"{name}.png", False, image, **options)
    rgb = np.asarray(picture).astype(np.uint16)
    noise = np.random.default_rng(5).integers(0, 256, (*rgb.shape[:2], 4), dtype=np.uint16)
    wide = np.dstack([rgb, np.asarray(alpha)]) * 256 + noise
    for name, color, bands in (("grey-16", 0, [0]), ("rgb-16", 2, [0, 1, 2]), ("grey-alpha-16", 4, [0, 3]), ("rgba-16", 6, [0, 1, 2, 3])):
        files.put(f"{name}.png", False, png(wide[:, :, bands], color))
    files.save("noise.png", False, Image.fromarray(np.random.default_rng(6).integers(0, 256, (47, 61, 3), dtype=np.uint8)))
    files.save("checks.png", False, Image.fromarray((np.indices((40, 50)).sum(axis=0) % 2 * 255).astype(np.uint8)))
    files.save("strip.png", False, picture.resize((700, 2)))
    files.put("interlaced.png", False, png(np.asarray(picture), 2, interlaced=True))
    files.put("interlaced-small.png", False, png(np.asarray(picture)[:3, :5], 2, interlaced=True))


def others(files, picture):
    clear = picture.copy()
    clear.putalpha(Image.linear_gradient("L").resize(picture.size))
    files.save("lossless.webp", False, picture, lossless=True)
    files.save("lossless-alpha.webp", False, clear, lossless=True, exact=True)
    for quality in (20, 80, 100):
        files.save(f"lossy-{quality}.webp", True, picture, quality=quality)
    files.save("lossy-alpha.webp", True, clear, quality=80, exact=True)
    files.save("odd.webp", True, picture.crop((0, 0, 63, 41)), quality=90)
    turned = [picture.transpose(way) for way in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)]
    moving = {"save_all": True, "append_images": turned, "duration": 100}
    files.save("moving.webp", False, picture, lossless=True, **moving)
    files.save("still.gif", False, picture.quantize(256))
    files.save("moving.gif", False, picture.quantize(256), save_all=True, duration=100, append_images=[turn.quantize(256) for turn in turned])
    files.save("transparent.gif", False, picture.quantize(128), transparency=5)
    files.save("interlaced.gif", False, picture.quantize(256), interlace=True)


def turns(files, picture):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        for ending, lossy, options in (("jpg", True, {"quality": 95}), ("png", False, {}), ("webp", False, {"lossless": True})):
            files.save(f"turned-{orientation}.{ending}", lossy, picture, exif=exif, **options)


def main(pictures, folder):
    files = Files(folder)
    real = sorted(path for path in pathlib.Path(pictures).iterdir() if path.suffix in (".png", ".jpg", ".gif"))
    files.list += [{"file": str(path), "lossy": path.suffix == ".jpg"} for path in real]
    picture = Image.open(pathlib.Path(pictures) / "chelsea.png").convert("RGB").crop((90, 40, 341, 237))
    for make in (jpegs, pngs, others, turns):
        make(files, picture)
    return files.list


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
