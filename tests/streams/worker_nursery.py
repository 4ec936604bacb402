"""Starts stream workers as processes of their own, without importing Feast anew for each (half a minute on a busy box).

Reads one JSON command a line: {"start": {"streams", "features", "log"}} answers the pid; {"wait": pid, "timeout_s"}
answers the exit code (negative = signal), or null. The workers run `stream_app.run`, as `reki.workers` does, and
without torch, as there.
"""

import json
import logging
import os
import signal
import sys
import time

sys.modules["torch"] = None

from feature_repo.settings import FeatureSettings  # noqa: E402
from knowledge.scenario import load_scenario  # noqa: E402
from streams import stream_app  # noqa: E402
from streams.settings import StreamSettings  # noqa: E402


def start(command):
    pid = os.fork()
    if pid:
        return pid
    log = os.open(command["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.setsid()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", force=True)
    try:
        stream_app.run(
            StreamSettings(**command["streams"]), FeatureSettings(**command["features"]), load_scenario("films")
        )
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except BaseException:
        logging.exception("worker")
        os._exit(1)


def wait(pid, timeout_s):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        answer = start(command["start"]) if "start" in command else wait(command["wait"], command["timeout_s"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
