"""The documentation's own "Add a view of your own", run as it stands: a team's view must survive `reki up`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from feature_repo import repo
from feature_repo.settings import FeatureSettings
from reki.paths import ROOT

pytestmark = pytest.mark.services


def test_the_documented_view_is_applied_pushed_and_read(valkey, tmp_path, monkeypatch):
    settings = FeatureSettings(
        namespace="ownview",
        redis_url=valkey.url,
        offline_dir=tmp_path / "offline",
        registry_path=tmp_path / "registry.db",
        feast_repo=tmp_path / "feature_repo",
    )
    page = (ROOT / "docs/features.md").read_text()
    blocks = dict(re.findall(r"```python (my_\w+)\n(.*?)```", page, re.DOTALL))
    (repo.render(settings).parent / "my_views.py").write_text(blocks["my_views"])
    repo.apply(settings)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(blocks["my_reads"], names)  # noqa: S102 - our own page
    assert names["online"]["spend"] == [12.0]
    assert names["online"]["history_item_ids"] == [None]
    assert names["past"]["spend"].tolist() == [9.5, 12.0]
    feast = Path(sys.executable).with_name("feast")
    done = subprocess.run([feast, "-c", "feature_repo", "apply"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Deploying infrastructure for my_spend" in done.stdout
