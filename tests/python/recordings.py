"""Audio files of every kind that is served, made of a recording of speech, and of what is none.

    recordings.py PACKAGES SPEECH FOLDER    PACKAGES is where soundfile lies, unpacked; SPEECH has 16,000 samples a second;
                                            prints the files
"""

import json
import pathlib
import sys

import numpy as np

from speech_reference import read, resampled


def main(packages, speech, folder):
    sys.path.insert(0, packages)
    import soundfile

    samples = read(speech, 16_000)
    noise = np.random.default_rng(3).standard_normal(len(samples)).astype(np.float32)
    silence = np.zeros(16_000, dtype=np.float32)
    made = []

    def write(name, samples, rate=16_000, subtype="PCM_16"):
        file = pathlib.Path(folder) / name
        soundfile.write(file, np.clip(samples, -1, 1), rate, subtype=subtype)
        made.append(str(file))

    write("speech.wav", samples)
    write("speech.flac", samples)
    write("wide.flac", samples, subtype="PCM_24")
    write("narrow.wav", samples, subtype="PCM_U8")
    write("float.wav", samples, subtype="FLOAT")
    write("int32.wav", samples[:80_000], subtype="PCM_32")
    write("quiet.wav", samples * 0.05)
    write("noisy.wav", samples * 0.5 + noise * 0.02)
    write("drowned.wav", samples * 0.2 + noise * 0.2)
    write("noise.wav", noise[:80_000] * 0.3)
    write("silence.wav", silence)
    write("tone.flac", np.sin(np.arange(80_000) * 0.2) * 0.5)
    parts = [samples[from_:to] for from_, to in ((122_000, 160_000), (200_000, 210_000), (290_000, 340_000))]
    write("pauses.wav", np.concatenate([silence, parts[0], silence, parts[1], silence[:5_000], parts[2], silence]))
    write("short.wav", samples[40_000:40_700])
    write("tiny.wav", samples[40_000:40_001])
    write("telephone.wav", resampled(samples, 16_000, 8_000), 8_000)
    stereo = resampled(samples, 16_000, 44_100)
    write("stereo.flac", np.stack([stereo, stereo * 0.5], axis=1), 44_100)
    write("studio.wav", resampled(samples, 16_000, 48_000), 48_000, subtype="PCM_24")
    return made


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
