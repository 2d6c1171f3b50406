"""OpenAI's Python client against /v1/embeddings, unchanged: all it is told is where the server is.

    openai_client.py BASE_URL NAME KEY CA TOKENIZER    prints {what: true or false}; CA may be empty (plain HTTP)
"""

import asyncio
import base64
import json
import math
import struct
import sys

import openai
from tokenizers import Tokenizer

base, name, key, ca, tokenizer = sys.argv[1:]
TEXTS = ["A man is eating food.", "Ein Mann isst.", "", "日本語のテキスト 🦀", "word " * 2000]

options = {"base_url": base, "api_key": key, "max_retries": 0, "timeout": 60}
if ca:
    import ssl

    context = ssl.create_default_context(cafile=ca)
    client = openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(verify=context, trust_env=False))
else:
    client = openai.OpenAI(**options, http_client=openai.DefaultHttpxClient(trust_env=False))


def near(a, b):
    return len(a) == len(b) and all(math.isclose(x, y, abs_tol=1e-4) for x, y in zip(a, b))


def refused(kind, says="", **arguments):
    """The error that the client raises, if it is of this kind and has OpenAI's shape."""
    try:
        client.embeddings.create(**{"model": name, "input": "a", **arguments})
    except kind as error:
        return bool(error.type) and says in str(error.message)
    return False


seen = {}
plain = client.embeddings.create(model=name, input=TEXTS[0])
seen["one text"] = len(plain.data) == 1 and plain.data[0].index == 0 and plain.model == name
vector = plain.data[0].embedding
seen["length one"] = math.isclose(sum(x * x for x in vector), 1, abs_tol=1e-4)
many = client.embeddings.create(model=name, input=TEXTS)
seen["a list keeps its order"] = [one.index for one in many.data] == list(range(len(TEXTS)))
seen["a list is each of its texts"] = near(many.data[0].embedding, vector)
floats = client.embeddings.create(model=name, input=TEXTS, encoding_format="float")
seen["floats are the base64 floats"] = all(near(a.embedding, b.embedding) for a, b in zip(floats.data, many.data))
raw = json.loads(client.embeddings.with_raw_response.create(model=name, input=TEXTS[0], encoding_format="base64").text)
encoded = raw["data"][0]["embedding"]
seen["base64"] = near(struct.unpack(f"<{len(vector)}f", base64.b64decode(encoded)), vector)
cutter = Tokenizer.from_file(tokenizer)
cutter.no_padding()
cutter.no_truncation()
ids = cutter.encode(TEXTS[0], add_special_tokens=False).ids
seen["usage"] = plain.usage.prompt_tokens == plain.usage.total_tokens == len(ids) + 2
tokens = client.embeddings.create(model=name, input=ids)
seen["tokens"] = near(tokens.data[0].embedding, vector)
lists = client.embeddings.create(model=name, input=[ids, cutter.encode(TEXTS[1]).ids])
seen["lists of tokens"] = near(lists.data[0].embedding, vector) and near(lists.data[1].embedding, many.data[1].embedding)
seen["dimensions that it has"] = len(client.embeddings.create(model=name, input="a", dimensions=len(vector)).data) == 1
seen["models"] = name in [model.id for model in client.models.list()]
seen["unknown model"] = refused(openai.NotFoundError, model="no-such-model")
seen["no input"] = refused(openai.BadRequestError, "empty", input=[])
seen["a token beyond the vocabulary"] = refused(openai.BadRequestError, "token", input=[10_000_000])
seen["other dimensions"] = refused(openai.BadRequestError, "dimensions", dimensions=7)
seen["unknown argument"] = refused(openai.BadRequestError, "truncate", extra_body={"truncate": True})


async def asynchronous():
    http = openai.DefaultAsyncHttpxClient(verify=context if ca else True, trust_env=False)
    async with openai.AsyncOpenAI(**options, http_client=http) as both:
        found = await asyncio.gather(*(both.embeddings.create(model=name, input=text) for text in TEXTS))
    return all(near(one.data[0].embedding, other.embedding) for one, other in zip(found, many.data))


seen["at once, asynchronously"] = asyncio.run(asynchronous())
print(json.dumps({what: bool(value) for what, value in seen.items()}))
