"""The model in LitServe."""

from __future__ import annotations

import os
import sys
from typing import Any

import joblib
import litserve
import numpy as np


class Model(litserve.LitAPI):
    def setup(self, _device: str) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads a type as a schema
        return np.array(request["rows"])

    def predict(self, rows: Any) -> Any:
        return self.model.predict(rows)

    def encode_response(self, output: Any) -> dict[str, list[int]]:
        return {"predictions": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=1)
    options = {"num_api_servers": 1, "generate_client_file": False, "log_level": "warning"}
    server.run(port=int(sys.argv[1]), host="127.0.0.1", **options)
