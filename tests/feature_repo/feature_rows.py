"""Rows for the tests of the feature repository."""

import numpy as np

from feature_repo import schema
from feature_repo.records import EntityWrite, FeatureRow


def vector(seed: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=width).astype(np.float32)


def history(rev: int, **changes) -> FeatureRow:
    values = {"history_item_ids": [f"i{rev}", "i0"], "history_values": [4.0, float(rev)], "history_through": 10 + rev}
    extra = changes.pop("extra", {"state_json": f'{{"rev": {rev}}}'})
    return FeatureRow("user_history", values | changes, rev, extra=extra)


def experienced(rev: int, slot: str = "blue", release: str = "r1", generation: int = 0, **changes) -> FeatureRow:
    values = {
        "experienced_vec": vector(rev, 2 * schema.FACTORS * schema.DIM),
        "experienced_stats": [3.5, 0.25, 1.0, float(rev)],
    }
    return FeatureRow("user_experienced", values | changes, rev, release=release, generation=generation, slot=slot)


def expected(rev: int, slot: str = "blue", release: str = "r1", generation: int = 0) -> FeatureRow:
    values = {
        "expected_vec": vector(rev, 2 * schema.FACTORS * schema.DIM),
        "expected_anchors": vector(rev + 1, schema.ANCHORS),
        "expected_summary": vector(rev + 2, schema.SUMMARY),
        "expected_source": "recorded-llm|recorded-1|1",
    }
    return FeatureRow("user_expected", values, rev, release=release, generation=generation, slot=slot)


def knowledge(rev: int, generation: int = 0) -> FeatureRow:
    values = {
        "knowledge_factors": '{"genre": "drama é"}',
        "knowledge_expectations": '{"likes": [], "dislikes": [], "anchors": {}}',
        "knowledge_mode": "recorded",
        "knowledge_model": "recorded-llm",
        "knowledge_template_version": "recorded-1",
        "knowledge_catalogue_version": "1",
        "knowledge_through": 10 + rev,
    }
    return FeatureRow("user_knowledge", values, rev, generation=generation)


def item_vector(seed: int, slot: str = "blue", release: str = "r1") -> FeatureRow:
    values = {
        "item_vec": vector(seed, schema.FACTORS * schema.DIM),
        "item_summary": vector(seed + 1, schema.SUMMARY),
    }
    return FeatureRow("item_vector", values, 0, release=release, slot=slot)


def user(user_id: str, *rows: FeatureRow, epoch: int = 0) -> EntityWrite:
    return EntityWrite("user", user_id, epoch, rows)


def item(item_id: str, *rows: FeatureRow) -> EntityWrite:
    return EntityWrite("item", item_id, 0, rows)
