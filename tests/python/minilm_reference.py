"""Embeddings as the reference makes them: tokenizers, onnxruntime, a mean over tokens, length one. Nothing of ours.

    minilm_reference.py MODEL TOKENIZER MAX_LENGTH    reads a JSON list of texts, prints {"embeddings", "tokens", "width"}
"""

import json
import sys

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def embed(model, tokenizer, max_length, texts):
    session = onnxruntime.InferenceSession(model)
    cutter = Tokenizer.from_file(tokenizer)
    cutter.no_padding()
    cutter.enable_truncation(max_length)
    vectors, counts = [], []
    # One text at a time and no padding: padding and batching must not matter.
    for text in texts:
        encoding = cutter.encode(text)
        feeds = {
            "input_ids": np.array([encoding.ids], dtype=np.int64),
            "attention_mask": np.array([encoding.attention_mask], dtype=np.int64),
            "token_type_ids": np.array([encoding.type_ids], dtype=np.int64),
        }
        hidden = session.run(["last_hidden_state"], feeds)[0][0]
        mask = feeds["attention_mask"][0][:, None].astype(np.float32)
        pooled = (hidden * mask).sum(axis=0) / np.clip(mask.sum(axis=0), 1e-9, None)
        vectors.append((pooled / np.linalg.norm(pooled)).tolist())
        counts.append(len(encoding.ids))
    return {"embeddings": vectors, "tokens": counts}


if __name__ == "__main__":
    print(json.dumps(embed(sys.argv[1], sys.argv[2], int(sys.argv[3]), json.load(sys.stdin))))
