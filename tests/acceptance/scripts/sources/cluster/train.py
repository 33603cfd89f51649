"""Counts the attempts in a checkpoint, and tells who the other hosts are."""

import json
import os
from pathlib import Path

hosts, me = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"]
state = Path("/opt/ml/checkpoints", f"{me}.txt")
attempt = int(state.read_text()) + 1 if state.exists() else 1
state.write_text(str(attempt))
Path(os.environ["SM_MODEL_DIR"], f"{me}.json").write_text(json.dumps({"hosts": hosts, "attempt": attempt}))
