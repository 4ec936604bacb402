"""What a bulk run tells: progress without a terminal and with one, clusters, and what became of records in Feast."""

import io
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from reki.knowledge import progress
from reki.knowledge.clustering import described
from reki.knowledge.plan import Plan, Prices, amount, report
from reki.knowledge.running import feast_lines


@pytest.fixture
def clock(monkeypatch):
    """`progress` counts by `clock.now`."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def told():
    """(console without a terminal, its lines so far)."""
    file = io.StringIO()
    return Console(file=file, width=200), lambda: file.getvalue().splitlines()


def test_without_a_terminal_a_line_comes_every_ten_seconds_also_before_the_first_answer(clock, told):
    console, lines = told
    with progress.showing(console, "Users", 3) as show:
        for _ in range(25):
            clock.now += 1
            show.waiting("")
        assert lines() == ["Users: 0 of 3, no answer yet"] * 2
        clock.now += 10
        show(1, 70)
    assert lines()[2] == "Users: 1 of 3, 2 tokens/s, about 70 s left"


def test_what_is_waited_for_is_told_at_once_and_again_now_and_then(clock, told):
    console, lines = told
    with progress.showing(console, "Users", 3) as show:
        for _ in range(19):
            clock.now += 0.5
            show.waiting("waiting: no answer from http://h/v1")
        assert lines() == ["waiting: no answer from http://h/v1"]
        clock.now += 10
        show.waiting("waiting: busy")
        assert lines()[1:] == ["waiting: busy"]
        clock.now += 10
        show.waiting("")
        assert lines()[2:] == ["Users: 0 of 3, no answer yet"]


def test_a_bar_says_that_there_is_no_answer_yet_and_names_the_trouble(clock, monkeypatch):
    made, file = [], io.StringIO()
    monkeypatch.setattr(
        progress, "Progress", lambda *parts, **options: made.append(Progress(*parts, **options)) or made[0]
    )
    console = Console(file=file, width=160, force_terminal=True)
    with progress.showing(console, "Users [a]", 3) as show:
        show.waiting("waiting: [red] server")
        made[0].refresh()
        [row] = made[0].tasks
        assert (row.fields["speed"], row.fields["trouble"]) == ("no answer yet", r"waiting: \[red] server")
        clock.now += 10
        show(2, 50)
        [row] = made[0].tasks
        assert (row.fields["speed"], row.fields["trouble"]) == ("5 tokens/s, about 5 s left", "")
    assert "-:--" not in file.getvalue()


@pytest.mark.parametrize(
    ("counts", "without", "said"),
    [
        ([3], 0, "3 users in 1 cluster (new); a trial only: fewer than the 20"),
        ([30, 30], 0, "60 users in 2 clusters of 30 each (new)"),
        ([20, 40], 2, "60 users in 2 clusters of 20 to 40 (new); 2 left out"),
    ],
)
def test_clusters_are_described_in_words(counts, without, said):
    clusters = SimpleNamespace(counts=np.array(counts), k=len(counts))
    text = described(clusters, "users", "new", sum(counts), without)
    assert text.startswith(said)
    assert ("trial" in text) == (min(counts) < 20)


def test_outcomes_in_feast_are_explained_where_they_need_it():
    assert feast_lines(Counter()) == []
    assert feast_lines(Counter(written=3)) == ["Feast: 3 written"]
    kept = feast_lines(Counter(kept=942))
    assert kept[0] == "Feast: 942 kept"
    assert "--replace" in kept[1]
    assert kept[2].strip() == "nothing that is in force has changed"
    assert len(feast_lines(Counter(kept=1, written=1))) == 2


def test_money_says_what_it_was_reckoned_from(tmp_path):
    settings = SimpleNamespace(model_name="m")
    plan = Plan(calls=2, bytes_in=8000, shared_bytes=4000, tokens_out_at_most=500)
    lines = dict(report(plan, settings, "user", Prices(1.0, 2.0, 0.5), tmp_path))
    assert lines["money"] == "0.003 (2,000 in at 1 + 500 out at 2 a million; at most, nothing measured yet)"
    assert lines["  with a prefix cache"] == "0.0025 (the shared part at 0.5)"
    assert "money" not in dict(report(plan, settings, "user", Prices(), tmp_path))
    assert [amount(money) for money in (1234.5, 12.345, 0.5, 0.00096)] == ["1,234.50", "12.35", "0.50", "0.00096"]
