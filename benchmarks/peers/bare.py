"""The model in an ASGI application and nothing else: the least that a Python server needs for a prediction."""

from __future__ import annotations

import json
import os
from typing import Any

import joblib
import numpy as np

model = joblib.load(os.environ["BENCH_MODEL"])


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if dict(scope["headers"]).get(b"content-type") == b"text/csv":
        rows = np.array([[float(cell) for cell in line.split(",")] for line in body.decode().splitlines()])
        answer = "\n".join(map(str, model.predict(rows).tolist())).encode()
    else:
        answer = json.dumps(model.predict(np.array(json.loads(body))).tolist()).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
