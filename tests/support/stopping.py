"""Stopping a child process, so that it neither answers nor ends."""

import os
import signal
import subprocess
from typing import Any


def stop(process: subprocess.Popen[Any]) -> None:
    """Send SIGSTOP, and wait until all of its threads stand still: until then, one may still answer."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
