"""Tends one workload on its machine, with nothing but the standard library.

A workload has three processes:

agent            outside the sandbox: log, limits, time, archives, `status.json` and `exit.json`
└── init         the sandbox's process 1: builds the view of the disk, reaps, passes signals on
    └── workload the user's command, run by exec or inside a forked warm interpreter
"""
