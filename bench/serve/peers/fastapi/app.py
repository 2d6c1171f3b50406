"""What people write themselves: a route, ONNX Runtime, a worker for each core. Raw texts are tokenised and their vectors
pooled, and pictures decoded and resized, as the pages of the models show.

    app.py              serves
    app.py reference    reads a JSON list of raw inputs in base64, and prints what is to be answered
"""

import base64
import io
import json
import os
import pathlib
import sys

import numpy
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

TYPES = {"FP32": numpy.float32, "INT64": numpy.int64}

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["BENCH_FILE"], options, providers=["CPUExecutionProvider"])
names = [each.name for each in session.get_outputs()]
model = os.environ["BENCH_MODEL"]
if model == "rawtext":
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(pathlib.Path(os.environ["BENCH_FILE"]).with_name("tokenizer.json")))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
if model == "rawimage":
    from PIL import Image

app = FastAPI()


@app.post(f"/v2/models/{model}/infer")
async def infer(request: Request):
    asked = await request.json()
    feeds = {
        each["name"]: numpy.array(each["data"], dtype=TYPES[each["datatype"]]).reshape(each["shape"])
        for each in asked["inputs"]
    }
    outputs = [{"name": name, "data": value.ravel().tolist()} for name, value in zip(names, session.run(None, feeds))]
    return JSONResponse({"model_name": model, "outputs": outputs})


def embed(body):
    encoding = tokenizer.encode(body.decode())
    feeds = {
        "input_ids": numpy.array([encoding.ids], dtype=numpy.int64),
        "attention_mask": numpy.array([encoding.attention_mask], dtype=numpy.int64),
        "token_type_ids": numpy.array([encoding.type_ids], dtype=numpy.int64),
    }
    vector = session.run(["last_hidden_state"], feeds)[0][0].mean(axis=0)
    return (vector / numpy.linalg.norm(vector)).tolist()


def judge(body):
    picture = Image.open(io.BytesIO(body)).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR)
    pixels = numpy.asarray(picture.crop((16, 16, 240, 240)), dtype=numpy.float32)[:, :, ::-1]
    pixels = numpy.ascontiguousarray(pixels - numpy.array([104, 117, 123], dtype=numpy.float32))
    sfw, nsfw = session.run(None, {session.get_inputs()[0].name: pixels[None]})[0][0].tolist()
    return {"nsfw": nsfw, "sfw": sfw}


answer_raw = judge if model == "rawimage" else embed


@app.post("/process")
async def process(request: Request):
    return JSONResponse(answer_raw(await request.body()))


def reference(body):
    answer = answer_raw(base64.b64decode(body))
    return [answer[key] for key in sorted(answer)] if isinstance(answer, dict) else answer


if __name__ == "__main__":
    if sys.argv[1:] == ["reference"]:
        print(json.dumps([reference(body) for body in json.load(sys.stdin)]))
        sys.exit()
    uvicorn.run(
        "app:app",
        host="127.0.0.1",
        port=int(os.environ["BENCH_HTTP"]),
        workers=int(os.environ["BENCH_CORES"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
