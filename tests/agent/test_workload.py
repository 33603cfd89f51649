from __future__ import annotations

import json
from pathlib import Path

from clary.agent.workload import Archive, Bind, Forward, Task, Workload


def test_a_task_survives_json() -> None:
    workload = Workload(
        id="training-job/a/1",
        bundle=Path("/b"),
        command=("python", "train.py"),
        env={"A": "1"},
        cpus=0.5,
        memory_bytes=1,
        hosts={"algo-2": "127.0.0.2"},
        timeout_s=1.5,
        forwards=(Forward("169.254.169.254", 80, "/s"),),
        binds=(Bind(Path("/x"), "/y", writable=True),),
        archives=(Archive("ml/model", "model.tar.gz"),),
        root=Path("/r"),
    )
    task = Task(workload=workload, isolation="none", cgroups={"cpu": "/c"}, readonly=("/p",), notify="/n")
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task
