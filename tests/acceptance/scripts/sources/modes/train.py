"""Reads one channel of each mode, and keeps what there was."""

import json
from pathlib import Path

root = Path("/opt/ml/input/data")
paths = {"file": "file/rows.csv", "fast": "fast/rows.csv", "pipe 0": "pipe_0", "pipe 1": "pipe_1"}
Path("/opt/ml/model/found.json").write_text(
    json.dumps({name: (root / path).read_text() for name, path in paths.items()})
)
