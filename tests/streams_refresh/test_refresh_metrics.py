"""What `/metrics` of the refresh worker shows of the LLM client."""

from prometheus_client import generate_latest

from knowledge.meter import Meter
from streams.budget import TokenBudget
from streams.refresh_metrics import RefreshMetrics


def test_the_llm_clients_meter_is_exported_as_it_stands():
    meter = Meter()
    metrics = RefreshMetrics(TokenBudget(1000, 100), meter)
    assert b"reki_llm" not in generate_latest(metrics.registry)
    usage = meter.of("user")
    usage.calls, usage.tokens_cached = 3, 40
    usage.failures["answer_cut"] = 2
    shown = generate_latest(metrics.registry).decode().splitlines()
    assert 'reki_llm_calls_total{purpose="user"} 3.0' in shown
    assert 'reki_llm_tokens_total{kind="cached",purpose="user"} 40.0' in shown
    assert 'reki_llm_failures_total{purpose="user",reason="answer_cut"} 2.0' in shown
    assert "# TYPE reki_llm_calls_total counter" in shown
