"""tritonclient unchanged, by each of its clients: tensors of every type, JSON and binary, compressed, and what it asks of a model.

    triton_types.py ADDRESS CLIENT MODEL    CLIENT: http, grpc, http.aio or grpc.aio; prints {what: true or false}
"""

import asyncio
import importlib
import inspect
import json
import sys

from elements import ODD, ROWS, repeated, same
from tritonclient.utils import InferenceServerException

address, kind, model = sys.argv[1:]
http = kind.startswith("http")
client = importlib.import_module(f"tritonclient.{kind}")
tensors = importlib.import_module("tritonclient.http" if http else "tritonclient.grpc")


async def settled(value):
    return await value if inspect.isawaitable(value) else value


def inputs(arrays, binary=True):
    made = []
    for name, array in arrays.items():
        tensor = tensors.InferInput(f"x_{name}", list(array.shape), name)
        # The client itself sends BF16 as binary alone.
        options = {"binary_data": binary or name == "BF16"} if http else {}
        tensor.set_data_from_numpy(array, **options)
        made.append(tensor)
    return made


def outputs(names, binary):
    options = {"binary_data": binary} if http else {}
    return [tensors.InferRequestedOutput(f"y_{name}", **options) for name in names]


def compression(algorithm):
    if http:
        return {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
    return {"compression_algorithm": algorithm}


def equal(result, arrays):
    return {name: same(result.as_numpy(f"y_{name}"), array) for name, array in arrays.items()}


async def main():
    triton = client.InferenceServerClient(address)
    seen = {}

    async def infer(arrays, binary=True, **options):
        return await settled(triton.infer(model, inputs(arrays, binary), **options))

    def note(way, found):
        seen.update({f"{way}: {name}": value for name, value in found.items()})

    seen["live"] = await settled(triton.is_server_live())
    seen["ready"] = await settled(triton.is_server_ready())
    seen["model ready"] = await settled(triton.is_model_ready(model))
    options = {} if http else {"as_json": True}
    server = await settled(triton.get_server_metadata(**options))
    seen["server"] = server["name"] == "millrace" and "statistics" in server["extensions"]
    metadata = await settled(triton.get_model_metadata(model, **options))
    seen["metadata"] = {one["datatype"] for one in metadata["inputs"]} == set(ROWS)
    config = await settled(triton.get_model_config(model, **options))
    config = config.get("config", config)
    seen["config"] = len(config["input"]) == len(ROWS) and int(config["max_batch_size"]) > 1
    index = await settled(triton.get_model_repository_index(**options))
    seen["index"] = (index if http else index["models"])[0]["name"] == model

    for way in [True, False] if http else [True]:
        result = await infer(repeated(ROWS, 2), way, outputs=outputs(ROWS, way))
        note("binary" if way else "JSON", equal(result, repeated(ROWS, 2)))
    note("odd values", equal(await infer({**ROWS, **ODD}), {**ROWS, **ODD}))
    result = await infer(ROWS, outputs=outputs(["FP16", "BYTES"], False), request_id="seven")
    note("outputs as JSON", equal(result, {name: ROWS[name] for name in ["FP16", "BYTES"]}))
    answer = result.get_response()
    seen["id"] = (answer["id"] if http else answer.id) == "seven"
    seen["only what was asked for"] = result.as_numpy("y_INT8") is None
    for algorithm in ["gzip", "deflate"]:
        many = repeated(ROWS, 100)
        note(algorithm, equal(await infer(many, **compression(algorithm)), many))
    together = await asyncio.gather(*(infer(repeated(ROWS, count)) for count in range(1, 9)))
    seen["at once"] = all(all(equal(one, repeated(ROWS, at + 1)).values()) for at, one in enumerate(together))

    statistics = await settled(triton.get_inference_statistics(model, **options))
    seen["statistics"] = int(statistics["model_stats"][0]["inference_count"]) > 100
    for what, call, says in [
        ("unknown model", lambda: triton.infer("nobody", inputs(ROWS)), "no model"),
        ("missing inputs", lambda: triton.infer(model, inputs({"INT8": ROWS["INT8"]})), "is missing"),
    ]:
        try:
            await settled(call())
            seen[what] = False
        except InferenceServerException as error:
            seen[what] = says in error.message()
    await settled(triton.close())
    return seen


print(json.dumps({what: bool(value) for what, value in asyncio.run(main()).items()}))
