"""Rows of each element type, with the values at its edges; three columns, as identity_model.py takes."""

import ml_dtypes
import numpy as np

ROWS = {
    "BOOL": np.array([[True, False, True]]),
    "FP16": np.array([[0.5, -65504, 6e-8]], dtype=np.float16),
    "BF16": np.array([[0.5, -3.3e38, 1e-38]], dtype=ml_dtypes.bfloat16),
    "FP32": np.array([[0.1, -3.4028235e38, 1e-45]], dtype=np.float32),
    "FP64": np.array([[0.1, -1.7976931348623157e308, 5e-324]], dtype=np.float64),
    "BYTES": np.array([[b"a", b"", "日本 ü".encode()]], dtype=np.object_),
}
for kind, name in [(np.unsignedinteger, "UINT"), (np.signedinteger, "INT")]:
    for bits in [8, 16, 32, 64]:
        dtype = np.dtype(f"{name.lower()}{bits}")
        ROWS[f"{name}{bits}"] = np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max, 7]], dtype=dtype)

# What JSON has no word for, and what a type's bits may be all the same.
ODD = {
    "FP16": np.array([[np.nan, np.inf, -0.0]], dtype=np.float16),
    "BF16": np.array([[np.nan, -np.inf, -0.0]], dtype=ml_dtypes.bfloat16),
    "FP32": np.array([[np.nan, np.inf, -0.0]], dtype=np.float32),
    "FP64": np.array([[np.nan, -np.inf, -0.0]], dtype=np.float64),
}


def repeated(rows, count):
    return {name: np.repeat(row, count, axis=0) for name, row in rows.items()}


def same(found, wanted):
    """Bit by bit; texts whether they come as texts or as bytes."""
    if found is None or found.shape != wanted.shape:
        return False
    if wanted.dtype == np.object_:
        plain = lambda value: value.encode() if isinstance(value, str) else bytes(value)
        return [plain(value) for value in found.flat] == [plain(value) for value in wanted.flat]
    return found.dtype == wanted.dtype and found.tobytes() == wanted.tobytes()
