"""Figures that are what their names say, in a summary that JSON readers can read."""

import json

import pytest

from reki.demo.figures import percentile, spread, write_summary


def test_a_percentile_is_a_value_that_was_measured():
    values = [40.0, 10.0, 30.0, 20.0]
    assert [percentile(values, share) for share in (0.0, 0.25, 0.5, 0.75, 0.76, 1.0)] == [10, 10, 20, 30, 40, 40]
    assert values == [40.0, 10.0, 30.0, 20.0], "the caller's list stays as it is"
    assert percentile([7.0], 0.99) == 7


def test_p99_of_a_thousand_leaves_ten_out():
    assert percentile([float(number) for number in range(1, 1001)], 0.99) == 990


def test_a_spread_of_few_values_does_not_hide_the_slowest():
    assert spread([1.04, 500.26, 2.0]) == {"p50": 2.0, "p99": 500.3, "n": 3}


def test_nothing_measured_is_no_zero():
    assert spread([]) == {"n": 0}


def test_a_summary_is_json_that_ends_with_a_line(tmp_path):
    file = tmp_path / "summary.json"
    write_summary(file, {"broker": "Apache Kafka 4.3.1", "freshness_ms": {"history": spread([3.0])}})
    assert file.read_text().endswith("}\n")
    assert json.loads(file.read_text())["freshness_ms"]["history"]["p50"] == 3.0


def test_a_figure_that_could_not_be_measured_is_an_error_and_leaves_no_half_summary(tmp_path):
    file = tmp_path / "summary.json"
    with pytest.raises(ValueError, match="JSON"):
        write_summary(file, {"recommend": {"p50_ms": float("nan")}})
    assert not file.exists()
