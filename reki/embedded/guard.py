"""Run a command that ends when its parent does: `python -I -S guard.py COMMAND [ARGUMENT...]`.

Linux sends the signal (PR_SET_PDEATHSIG) even when the parent was killed with -9 and could clean up nothing, and
the setting outlives exec. Without it a killed supervisor would leave a broker and a model server behind.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Arm the signal, then become the command."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died before the signal was armed, which then never comes
        sys.exit(1)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - becoming the command, without a shell, is the purpose


if __name__ == "__main__":
    main()
