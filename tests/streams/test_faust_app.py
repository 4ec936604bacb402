"""What a Faust process leaves behind on disk."""

import subprocess
import sys

_APP = """
import sys
from pathlib import Path
from streams.faust_app import make_app
app = make_app("some-app", "127.0.0.1:9", Path(sys.argv[1]))
print(app.conf.datadir)
"""


def test_processes_share_one_folder_and_leave_none_in_the_temporary_one(tmp_path):
    """Also one that is killed: nothing is made for a process alone, so nothing has to be cleaned up."""
    temporary, folder = tmp_path / "tmp", tmp_path / "data" / "faust"
    temporary.mkdir()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", _APP, str(folder)],
            env={"TMPDIR": str(temporary), "PATH": ""},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(folder)
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "tmp"]
