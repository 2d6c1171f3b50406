"""Speech in audio files by silero-vad: its own code, its own model. Nothing of ours.

    speech_reference.py PACKAGES MODEL RATE    PACKAGES is where silero_vad and soundfile lie, unpacked; RATE is the model's;
                                               reads {"files", "options"}, options as get_speech_timestamps has them, and
                                               prints [{"scores", "stretches"}]: a probability for each frame, and where
                                               speech begins and ends, in samples
"""

import json
import math
import sys

import numpy as np

import numpy_torch


def resampled(samples, old, new):
    """torchaudio.functional.resample with its defaults: a sinc of six zero crossings at 0.99 of the lower rate, by Hann."""
    if old == new:
        return samples
    common = math.gcd(old, new)
    old, new = old // common, new // common
    rate = min(old, new) * 0.99
    width = math.ceil(6 * old / rate)
    index = np.arange(-width, width + old) / old
    time = np.clip((np.arange(0, -new, -1)[:, None] / new + index[None, :]) * rate, -6, 6)
    window = np.cos(time * np.pi / 12) ** 2
    kernels = np.sinc(time) * window * (rate / old)
    padded = np.pad(samples.astype(np.float64), (width, width + old))
    steps = len(samples) // old + 1
    frames = np.lib.stride_tricks.sliding_window_view(padded, kernels.shape[1])[::old][:steps]
    made = (frames @ kernels.T).reshape(-1)
    return made[: math.ceil(new * len(samples) / old)].astype(np.float32)


def read(file, rate):
    """As torchaudio loads a file, and silero_vad's read_audio goes on with it: channels averaged, then resampled."""
    import soundfile

    samples, own = soundfile.read(file, dtype="float32", always_2d=True)
    return resampled(samples.mean(axis=1, dtype=np.float32), own, rate)


def found(files, model, rate, options):
    sys.modules["torch"] = numpy_torch.module()
    from silero_vad.utils_vad import OnnxWrapper, get_speech_timestamps

    class Remembering:
        """The model, and what it said."""

        def __init__(self):
            self.model, self.scores = OnnxWrapper(model, force_onnx_cpu=True), []
            self.reset_states = self.model.reset_states

        def __call__(self, chunk, rate):
            score = self.model(chunk, rate)
            self.scores.append(float(score.item()))
            return score

    answers = []
    for file in files:
        heard = Remembering()
        stretches = get_speech_timestamps(numpy_torch.Tensor(read(file, rate)), heard, sampling_rate=rate, **options)
        answers.append({"scores": heard.scores, "stretches": [[one["start"], one["end"]] for one in stretches]})
    return answers


def main(packages, model, rate):
    sys.path.insert(0, packages)
    asked = json.load(sys.stdin)
    return found(asked["files"], model, int(rate), asked["options"])


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
