"""Hooks of schemathesis for bodies that no schema describes: real files, whole, cut off and with a byte changed.

    MILLRACE_BODIES    folder of the files; those named *.raw are tensors: the body of an inference is one of them
    MILLRACE_ANSWERS   file that a line "PATH STATUS" is added to for each answer
    SCHEMATHESIS_HOOKS names this file
"""

import os
import pathlib

import schemathesis
from hypothesis import strategies as st

FILES = sorted(pathlib.Path(os.environ["MILLRACE_BODIES"]).iterdir())
IMAGES = ("image/jpeg", "image/png", "image/webp", "image/gif")
AUDIO = ("audio/wav", "audio/flac")


def bodies(files):
    whole = st.sampled_from([file.read_bytes() for file in files])
    share = st.floats(0, 1, exclude_max=True)

    def changed(body, at, value):
        at = int(at * len(body))
        return body[:at] + bytes([body[at] ^ value]) + body[at + 1 :]

    cut = st.builds(lambda body, at: body[: int(at * len(body))], whole, share)
    return st.one_of(whole, whole, cut, st.builds(changed, whole, share, st.integers(1, 255)))


schemathesis.openapi.media_type(IMAGES[0], bodies(file for file in FILES if file.suffix != ".raw"), aliases=(*IMAGES[1:], *AUDIO))
schemathesis.openapi.media_type("application/octet-stream", bodies(file for file in FILES if file.suffix == ".raw"))


@schemathesis.hook
def before_call(context, case, kwargs):
    # Without its length, a body is read as JSON whatever its type is.
    if case.media_type == "application/octet-stream":
        case.headers["Inference-Header-Content-Length"] = "0"


@schemathesis.hook
def after_call(context, case, response):
    with open(os.environ["MILLRACE_ANSWERS"], "a") as answers:
        answers.write(f"{case.path} {response.status_code}\n")
