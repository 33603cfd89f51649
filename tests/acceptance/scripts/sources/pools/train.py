"""Counts the jobs of its warm pool."""

import os
from pathlib import Path

lines = Path(os.environ["SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"], "jobs.txt")
with lines.open("a") as file:
    print("a job", file=file)
Path(os.environ["SM_MODEL_DIR"], "jobs.txt").write_text(str(len(lines.read_text().splitlines())))
