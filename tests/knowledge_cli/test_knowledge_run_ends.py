"""How a bulk run ends and what it says on the way: wrong settings, servers that stay away, Ctrl-C, nothing to do."""

import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from knowledge.base import TransientError
from knowledge.bulk import Bulk
from reki.knowledge import measured

KEY = "sk-0123456789abcdef"


@contextmanager
def refusing(status):
    """A server that answers every call with `status` and repeats a part of the key."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"error": {"message": f"bad key {KEY[:7]}***{KEY[-4:]}"}}).encode()
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [302, 401, 404])
def test_what_only_a_person_can_mend_ends_the_command_at_once(reki, environment, folder, tmp_path, status):
    (tmp_path / "sample.jsonl").write_text(json.dumps({"title": "A"}) + "\n")
    with refusing(status) as url:
        environment |= {"REKI_LLM_BASE_URL": url, "REKI_LLM_API_KEY": KEY}
        for arguments in (
            ("generate", "users", "--from", folder),
            ("discover", "--sample", tmp_path / "sample.jsonl", "--scenario", "shop"),
        ):
            began = time.monotonic()
            code, out, err = reki(*arguments)
            assert (code, time.monotonic() - began < 10) == (2, True)
            assert f"{url} says {status}" in err
            assert KEY[:7] not in out + err
            assert KEY[-4:] not in out + err


def test_a_server_that_is_down_is_named_within_seconds_and_at_the_end(start, environment, folder):
    environment["REKI_LLM_BASE_URL"] = "http://me:secret@127.0.0.1:9/v1"
    run = start("generate", "users", "--from", folder)
    assert run.stdout.readline().startswith("24 users, by double at http://127.0.0.1:9/v1; results in ")
    waiting = run.stdout.readline()
    assert waiting.startswith("waiting: no answer from the LLM server http://127.0.0.1:9/v1: ")
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    assert "It was waiting: no answer from the LLM server http://127.0.0.1:9/v1: " in out
    assert out.endswith("Stopped. The same command goes on where this one ended.\n")
    assert "secret" not in waiting + out + err


def test_ctrl_c_twice_ends_at_once_with_a_closing_line(start, llm, folder):
    llm.delay_s = 60
    run = start("generate", "users", "--from", folder)
    run.stdout.readline()
    time.sleep(1.0)
    run.send_signal(signal.SIGINT)
    assert "again: end at once" in run.stderr.readline()
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=10)
    assert run.returncode == 130, err
    assert "Stopped at once." in out
    assert "goes on where this one ended" in out
    assert "Traceback" not in err


def test_ctrl_c_before_anything_was_asked_has_a_closing_line(reki, folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("reki.knowledge.generate.chosen", interrupted)
    code, out, _ = reki("generate", "users", "--from", folder)
    assert code == 130
    assert "Stopped at once." in out


def test_an_outage_longer_than_the_patience_names_its_cause(reki, environment, folder, monkeypatch):
    environment["REKI_LLM_BASE_URL"] = "http://127.0.0.1:9/v1"
    monkeypatch.setattr(Bulk.__init__, "__kwdefaults__", {**Bulk.__init__.__kwdefaults__, "patience_s": 0.1})
    code, _, err = reki("generate", "users", "--from", folder)
    assert code == 1
    assert "no answer from the LLM server http://127.0.0.1:9/v1" in err
    assert "goes on where this one ended" in err


async def test_a_hopeless_error_ends_a_run_at_once_and_others_do_not():
    asked = []

    async def ask(subject):
        asked.append(subject)
        raise TransientError("llm_misconfigured", "wrong key")

    async def deliver(batch):
        raise AssertionError

    with pytest.raises(TransientError, match="wrong key"):
        await Bulk(range(100), ask, deliver, concurrency=2, hopeless=["llm_misconfigured"]).run()
    assert len(asked) <= 2


@pytest.mark.parametrize(("count", "finished"), [(3, True), (4, False)])
async def test_stopped_during_the_last_answer_nothing_is_left(count, finished):
    async def ask(subject):
        if subject == 2:
            bulk.stop()
        return subject

    async def deliver(batch):
        pass

    bulk = Bulk(range(count), ask, deliver, concurrency=1, batch_s=0.01)
    assert await bulk.run() is finished


async def test_stopped_while_something_waits_for_its_server_is_not_finished():
    async def ask(subject):
        bulk.stop()
        raise TransientError("llm_busy", "later")

    async def deliver(batch):
        pass

    bulk = Bulk(range(1), ask, deliver, concurrency=1, batch_s=0.01)
    assert await bulk.run() is False


def test_who_cannot_be_asked_about_any_more_is_counted(reki, folder, monkeypatch):
    from reki.knowledge.folder import FolderSubjects

    whole = FolderSubjects.users
    monkeypatch.setattr(FolderSubjects, "users", lambda self, ids: list(whole(self, ids))[1:])
    code, out, err = reki("generate", "users", "--from", folder, "--limit", "5")
    assert code == 0, err
    assert "4 of 5" in out
    assert "1 left out: forgotten, or" in out


def test_nothing_missing_is_no_error(reki, folder, monkeypatch):
    from reki.knowledge.folder import FolderSubjects

    monkeypatch.setattr(FolderSubjects, "item_ids", lambda self, missing=False: [] if missing else ["1"])
    for options in (["--dry-run"], [], ["--mode", "collective"]):
        code, out, err = reki("generate", "items", "--from", folder, "--missing", *options)
        assert (code, err) == (0, "")
        assert out == "Nothing is missing: all items have knowledge in force.\n"


def test_recorded_answers_are_not_called_answered_before(reki, folder, environment):
    environment |= {"REKI_LLM": "recorded", "REKI_LLM_BASE_URL": ""}
    code, out, err = reki("generate", "items", "--from", folder, "--limit", "3", "--dry-run", "--price-in", "1")
    assert code == 0, err
    lines = {line.strip()[:28].strip(): line.strip()[28:].strip() for line in out.splitlines()}
    assert lines["answered already (no call)"] == "0"
    assert lines["recorded (no call)"] == "3"
    assert lines["money"] == "0: there is nothing to ask"
    assert "recorded MovieLens-100K knowledge, without an LLM" in out


def test_users_of_own_items_are_not_asked_about_without_a_catalogue(reki, llm, folder):
    items = folder / "items.jsonl"
    items.write_text(items.read_text().replace('"item_id": "', '"item_id": "own-'))
    code, _, err = reki("generate", "users", "--from", folder)
    assert code == 2
    assert "REKI_CATALOGUE_FILE" in err
    assert llm.prompts == []


def test_items_without_a_title_cost_nothing(reki, llm, folder):
    lines = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    lines[0]["title"], lines[1]["title"] = "", " \u200b"
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, _, err = reki("generate", "items", "--from", folder)
    assert code == 0, err
    assert len(llm.prompts) == len(lines) - 2


LINE = {"model": "double", "purpose": "item", "calls": 2, "prompt_bytes": 800, "tokens_in": 200}
LINE |= {"tokens_cached": 0, "tokens_out": 100, "seconds": 10.0}
BAD = [{"calls": 0}, {"calls": "x"}, {"calls": 2.5}, {"tokens_in": 0}, {"tokens_in": -1}, {"tokens_out": 10**400}]
BAD += [{"seconds": float("nan")}, {"seconds": "1"}, {"seconds": -1}, {"model": 5}, {"more": 1}, {"prompt_bytes": True}]


def test_a_damaged_account_of_earlier_runs_is_left_out(reki, folder, tmp_path):
    runs = tmp_path / "data" / "knowledge" / "runs.jsonl"
    runs.parent.mkdir(parents=True)
    lines = [json.dumps(LINE | bad).encode() for bad in BAD] + [b"\xff\xfe", b"[" * 100_000, b"5", b"{", b""]
    runs.write_bytes(b"\n".join([*lines, json.dumps(LINE).encode()]) + b"\n")
    assert measured.measured(runs.parent, "double", "item") == measured.Run(**LINE)
    code, out, err = reki("generate", "items", "--from", folder, "--limit", "3", "--dry-run")
    assert code == 0, err
    assert "measured over 2 calls" in out


def test_an_account_that_cannot_be_written_loses_nothing(reki, llm, folder, tmp_path):
    (tmp_path / "data" / "knowledge" / "runs.jsonl").mkdir(parents=True)
    code, out, err = reki("generate", "items", "--from", folder, "--limit", "3")
    assert code == 0, err
    assert "3 new records" in out
    assert reki("generate", "items", "--from", folder, "--limit", "3", "--dry-run")[0] == 0


def test_a_dry_run_loads_no_client_and_none_of_what_a_stack_runs(environment, folder, tmp_path):
    code = (
        "import sys; from reki.cli import main\n"
        f"sys.argv = ['reki', 'knowledge', 'generate', 'users', '--from', {str(folder)!r}, '--dry-run']\n"
        "assert main() == 0\n"
        "heavy = {'openai', 'kafka', 'torch', 'feast', 'redis', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True, capture_output=True)
