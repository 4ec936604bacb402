"""Knowledge as feature rows and back. Pure: no I/O, no clock."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feature_repo.records import FeatureRow
from knowledge.base import Expectations, ItemProfile, Knowledge, KnowledgeMode, from_micros, micros

Floats = NDArray[np.float32]


def source_of(knowledge: Knowledge) -> str:
    """What a release lists in `accepted_knowledge`: `model|template_version|catalogue_version`."""
    return f"{knowledge.model}|{knowledge.template_version}|{knowledge.catalogue_version}"


def user_rows(
    knowledge: Knowledge,
    expected_vec: Floats,
    anchors: Floats,
    summary: Floats,
    *,
    release: str,
    slots: Sequence[str],
    generation: int,
    written_at: int,
) -> tuple[FeatureRow, ...]:
    """The rows of one user's knowledge: texts once, vectors once per slot; all with one `source_rev`.

    `expected_vec` f32[2, F, d], `anchors` f32[A], `summary` f32[32]; `written_at` µs, wall clock. They are written in
    one call, so that no reader sees new texts beside old vectors (window R4).
    """
    expectations = knowledge.expectations or Expectations()
    texts = FeatureRow(
        view="user_knowledge",
        values={
            "knowledge_factors": _json(knowledge.factors),
            "knowledge_expectations": _json(expectations.model_dump(mode="json")),
            "knowledge_mode": knowledge.mode.value,
            "knowledge_model": knowledge.model,
            "knowledge_template_version": knowledge.template_version,
            "knowledge_catalogue_version": knowledge.catalogue_version,
            "knowledge_rev": knowledge.source_rev,
            "knowledge_through": micros(knowledge.source_through) if knowledge.source_through else 0,
            "knowledge_written_at": written_at,
        },
        source_rev=knowledge.source_rev,
        generation=generation,
    )
    vectors = {
        "expected_vec": np.ascontiguousarray(expected_vec, np.float32).reshape(-1),
        "expected_anchors": np.ascontiguousarray(anchors, np.float32),
        "expected_summary": np.ascontiguousarray(summary, np.float32),
        "expected_rev": knowledge.source_rev,
        "expected_release": release,
        "expected_source": source_of(knowledge),
        "expected_written_at": written_at,
    }
    return (
        texts,
        *(
            FeatureRow(
                view="user_expected",
                values=vectors,
                source_rev=knowledge.source_rev,
                release=release,
                generation=generation,
                slot=slot,
            )
            for slot in slots
        ),
    )


def knowledge_from_row(user_id: str, row: Mapping[str, Any] | None) -> Knowledge | None:
    """The previous knowledge of a user, as read from view `user_knowledge`; None where there is none."""
    if row is None or not row.get("knowledge_factors"):
        return None
    through = int(row["knowledge_through"])
    return Knowledge(
        entity="user",
        entity_id=user_id,
        factors=json.loads(row["knowledge_factors"]),
        expectations=Expectations.model_validate_json(row["knowledge_expectations"]),
        mode=KnowledgeMode(row["knowledge_mode"]),
        model=row["knowledge_model"],
        template_version=row["knowledge_template_version"],
        catalogue_version=row["knowledge_catalogue_version"],
        source_rev=int(row["knowledge_rev"]),
        source_through=from_micros(through) if through else None,
        generated_at=from_micros(int(row["knowledge_written_at"])),
    )


def profile_row(profile: ItemProfile, *, source_rev: int, written_at: int) -> FeatureRow:
    """Row of view `item_profile`."""
    return FeatureRow(
        view="item_profile",
        values={
            "item_title": profile.title,
            "item_fields": _json(profile.fields),
            "item_profile_written_at": written_at,
        },
        source_rev=source_rev,
    )


def item_rows(
    knowledge: Knowledge,
    vec: Floats,
    summary: Floats,
    *,
    release: str,
    slots: Sequence[str],
    generation: int,
    written_at: int,
) -> tuple[FeatureRow, ...]:
    """Rows of one item's knowledge and vectors; `vec` f32[F, d], `summary` f32[32]."""
    texts = FeatureRow(
        view="item_knowledge",
        values={
            "item_factors": _json(knowledge.factors),
            "item_knowledge_mode": knowledge.mode.value,
            "item_knowledge_model": knowledge.model,
            "item_knowledge_template_version": knowledge.template_version,
            "item_knowledge_written_at": written_at,
        },
        source_rev=knowledge.source_rev,
        generation=generation,
    )
    vectors = {
        "item_vec": np.ascontiguousarray(vec, np.float32).reshape(-1),
        "item_summary": np.ascontiguousarray(summary, np.float32),
        "item_release": release,
    }
    return (
        texts,
        *(
            FeatureRow(
                view="item_vector",
                values=vectors,
                source_rev=knowledge.source_rev,
                release=release,
                generation=generation,
                slot=slot,
            )
            for slot in slots
        ),
    )


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
