"""Builds Triton's model repository from a release: `features_<release>`, `ranker_<release>` and the one `recommend`.

A roll-out exports beside what is being served and reloads `recommend` alone: the release is part of the other names.
"""

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Protocol

from feature_repo.keys import Keys
from feature_repo.settings import FeatureSettings
from knowledge.base import Action, TerminalError
from knowledge.scenario import load_scenario
from serving.layout import feast_layout
from serving.ranker_load import TRAINED
from serving.settings import ServingSettings
from serving.store_layout import StoreLayout
from serving.tensors import PARTS

if TYPE_CHECKING:
    from feast import FeatureStore

RECOMMEND = "recommend"
MAX_ITEMS = 2000
_TEMPLATES = Path(__file__).with_name("repository")


class Release(Protocol):
    """The part of `ranking.release.Release` that is read here."""

    @property
    def release_id(self) -> str:
        """12 hex characters of the content hash."""
        ...

    @property
    def path(self) -> Path:
        """Its folder."""
        ...

    @property
    def scenario(self) -> str:
        """Name of the scenario."""
        ...

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """Item id -> index; 0 is padding, 1 is unknown."""
        ...

    @property
    def factors(self) -> Sequence[str]:
        """F names."""
        ...

    @property
    def dim(self) -> int:
        """Width d of a factor's vector."""
        ...

    @property
    def history_length(self) -> int:
        """H."""
        ...

    @property
    def anchors(self) -> Sequence[str]:
        """A item ids."""
        ...

    @property
    def accepted_knowledge(self) -> Sequence[str]:
        """model|template_version|catalogue_version of what it was trained for."""
        ...


def model_names(release_id: str) -> tuple[str, str]:
    """Names of a release's own models: features, ranker."""
    return f"features_{release_id}", f"ranker_{release_id}"


def export_release(
    repository: Path,
    release: Release,
    slot: str,
    features: FeatureSettings,
    serving: ServingSettings,
    ranker: str = TRAINED,
    store: "FeatureStore | None" = None,
) -> StoreLayout:
    """Write the three models into `repository`; returns the layout that they read.

    Fails before anything is written unless a probe row in the online store reads bit for bit alike through Feast
    (`store`; default: the applied repository of `features`) and through our reader. `recommend` comes last, so an
    interrupted export changes nothing that is served.

    Raises `TerminalError` (`other_sizes`, `layout_unknown`, `layout_mismatch`, `bad_scenario`) and `TransientError`
    (`redis_unavailable`).
    """
    # They import Feast and with it half the world; a process that only names models should not.
    import redis
    from feast import FeatureStore

    from serving.layout_probe import verify_layout

    layout = feast_layout(Keys(features.namespace), slot)
    _check_sizes(release, layout)
    client = redis.Redis.from_url(features.redis_url)
    try:
        verify_layout(layout, client, features.redis_url, store or FeatureStore(repo_path=str(features.feast_repo)))
    finally:
        client.close()
    words = _words(layout, release.release_id, serving)
    features_name, ranker_name = model_names(release.release_id)
    _write_model(
        repository / features_name,
        "features",
        words,
        {
            "features.json": _feature_options(release, features, serving),
            "layout.json": layout.to_json(),
            "vocabulary.json": dict(release.vocabulary),
        },
    )
    _write_model(
        repository / ranker_name,
        "ranker",
        words,
        {"ranker.json": {"ranker": ranker, "threads": serving.ranker_threads}},
        release.path if ranker == TRAINED else None,
    )
    _write_model(repository / RECOMMEND, "recommend", words, {})
    return layout


def _check_sizes(release: Release, layout: StoreLayout) -> None:
    sizes = layout.sizes
    for name, ours, theirs in (
        ("factors", sizes.factors, len(release.factors)),
        ("numbers per factor", sizes.dim, release.dim),
        ("history entries", sizes.history, release.history_length),
        ("anchors", sizes.anchors, len(release.anchors)),
    ):
        if ours != theirs:
            raise TerminalError(
                "other_sizes",
                f"release {release.release_id} has {theirs} {name}, the feature views have {ours}: train it for them",
            )


def _words(layout: StoreLayout, release_id: str, serving: ServingSettings) -> dict[str, str | int]:
    sizes = layout.sizes
    return {
        "release": release_id,
        "batch": serving.recommend_batch,
        "stats": sizes.stored_stats + 1,
        "factors": sizes.factors,
        "dim": sizes.dim,
        "anchors": sizes.anchors,
        "summary": sizes.summary,
        "history": sizes.history,
        "parts": len(PARTS),
    }


def _feature_options(release: Release, features: FeatureSettings, serving: ServingSettings) -> dict[str, Any]:
    scenario = load_scenario(release.scenario)
    rule = scenario.actions.get(Action.RATE)
    if rule is None or rule.liked_above is None:
        raise TerminalError("bad_scenario", f"scenario {scenario.name} does not say which ratings count as liked")
    return {
        "release": release.release_id,
        "accepted_knowledge": sorted(release.accepted_knowledge),
        "liked_above": rule.liked_above,
        "value_range": [scenario.scale.lowest, scenario.scale.highest],
        "redis_url": features.redis_url,
        "deadline_s": serving.feature_deadline_s,
        "cache_rows": serving.item_cache_rows,
        "cache_ttl_s": serving.item_cache_ttl_s,
        "max_items": MAX_ITEMS,
    }


def _write_model(
    target: Path,
    template: str,
    words: Mapping[str, str | int],
    files: Mapping[str, Any],
    release_path: Path | None = None,
) -> None:
    """Build the model's folder beside its place, then move it there: Triton never sees half of one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # Outside the repository, on the same file system: every folder inside counts as a model.
    draft = target.parent.with_name(f".{target.parent.name}.{uuid.uuid4().hex}")
    version = draft / "1"
    version.mkdir(parents=True)
    source = _TEMPLATES / template
    try:
        (draft / "config.pbtxt").write_text(Template((source / "config.pbtxt").read_text()).substitute(words))
        if (source / "model.py").exists():
            shutil.copyfile(source / "model.py", version / "model.py")
        if release_path is not None:
            shutil.copytree(release_path, version / "release")
        for name, data in files.items():
            # For the owner alone: the store's address may hold a password.
            descriptor = os.open(version / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(data, file)
        old = draft.with_name(f"{draft.name}.old")
        if target.exists():
            target.rename(old)
        draft.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
