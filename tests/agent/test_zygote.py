from __future__ import annotations

import socket
import subprocess
import sys

import pytest

SERVE = (
    "import socket, sys, threading, time\nfrom clary.agent import zygote\n{before}\n"
    "zygote.serve(socket.socket(fileno=int(sys.argv[1])), [])\n"
)


@pytest.mark.parametrize(
    ("before", "answer"),
    [("", b"ready"), ("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", b"")],
    ids=["alone", "beside a thread"],
)
def test_it_serves_only_while_it_has_one_thread(before: str, answer: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-c", SERVE.format(before=before), str(theirs.fileno())]
    with ours, theirs, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        ours.settimeout(10)
        assert ours.recv(64) == answer
        ours.close()
        assert process.wait(10) == 0
