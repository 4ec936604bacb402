"""Clusters of entities: balanced, reproducible, and assigned to without a call."""

import json

import numpy as np
import pytest

from encoders.cluster_files import load_clusters, write_clusters
from encoders.clusters import balanced_kmeans, build_clusters, clusters_for_budget, members_allowed
from encoders.representation import user_representation
from knowledge.base import TerminalError


def blobs(sizes, dim=8, spread=0.15, seed=0):
    """Unit rows around one axis each, and the number of each row's axis."""
    draw = np.random.default_rng(seed)
    rows = np.concatenate([np.eye(dim)[n] + spread * draw.standard_normal((size, dim)) for n, size in enumerate(sizes)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), np.repeat(np.arange(len(sizes)), sizes)


def clustered(sizes=(40, 40, 40), **named):
    vectors, _ = blobs(sizes)
    ids = [f"u{n}" for n in range(len(vectors))]
    named = {"entity": "user", "representation": "test", **named}
    return build_clusters(ids, vectors, len(sizes), **named), ids, vectors


def test_clear_groups_are_found_as_they_are():
    vectors, truth = blobs((30, 50, 25))
    labels, centroids = balanced_kmeans(vectors, 3)
    assert len({(label, group) for label, group in zip(labels, truth, strict=True)}) == 3
    for label in range(3):
        np.testing.assert_allclose(centroids[label], vectors[labels == label].mean(axis=0), atol=1e-6)


def test_a_small_group_does_not_make_a_cluster_that_tells_of_few_people():
    vectors, _ = blobs((100, 97, 3), spread=0.02)
    labels, _ = balanced_kmeans(vectors, 3, min_members=20)
    sizes = np.bincount(labels, minlength=3)
    assert sizes.min() == 20
    assert sizes.sum() == 200


def test_the_entities_that_fill_a_small_cluster_are_those_whose_move_costs_least():
    # On a line: two tight groups, and a third of one point to the right of them.
    vectors = np.array([[x] for x in [*np.linspace(0, 1, 10), *np.linspace(5, 6, 10), 9.0]], dtype=np.float32)
    labels, _ = balanced_kmeans(vectors, 3, min_members=3)
    assert (labels == labels[-1]).sum() == 3
    assert labels[-2] == labels[-3] == labels[-1]


def test_no_cluster_swallows_everybody():
    draw = np.random.default_rng(1)
    crowd = np.ones((300, 4)) + 0.01 * draw.standard_normal((300, 4))
    vectors = np.concatenate([crowd, draw.standard_normal((100, 4))]).astype(np.float32)
    labels, _ = balanced_kmeans(vectors, 8, min_members=20)
    sizes = np.bincount(labels, minlength=8)
    assert sizes.min() >= 20
    assert sizes.max() <= 3 * 400 / 8


@pytest.mark.parametrize("seed", range(5))
def test_limits_hold_on_vectors_without_any_structure(seed):
    vectors = np.random.default_rng(seed).standard_normal((230, 6)).astype(np.float32)
    sizes = np.bincount(balanced_kmeans(vectors, 11, min_members=20, seed=seed)[0], minlength=11)
    assert sizes.min() >= 20
    assert sizes.sum() == 230


def test_equal_vectors_still_fill_every_cluster():
    sizes = np.bincount(balanced_kmeans(np.ones((60, 3), dtype=np.float32), 3)[0], minlength=3)
    assert sizes.tolist() == [20, 20, 20]


def test_the_same_seed_gives_the_same_clusters():
    vectors = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    first, second = (balanced_kmeans(vectors, 10, seed=7) for _ in range(2))
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


def test_more_clusters_than_can_be_filled_are_refused_with_what_to_ask_for():
    with pytest.raises(TerminalError, match="at most 4") as caught:
        balanced_kmeans(np.zeros((99, 2), dtype=np.float32), 5)
    assert caught.value.reason == "too_many_clusters"
    with pytest.raises(TerminalError, match="finite"):
        balanced_kmeans(np.full((40, 2), np.nan, dtype=np.float32), 2)


def test_a_budget_pays_for_whole_calls_and_never_for_tiny_clusters():
    assert clusters_for_budget(100_000, 6_000, 10_000) == 16
    assert clusters_for_budget(10**9, 6_000, 943) == 47
    assert clusters_for_budget(10**9, 6_000, 5) == 1
    with pytest.raises(TerminalError) as caught:
        clusters_for_budget(5_999, 6_000, 943)
    assert caught.value.reason == "budget_too_small"


def test_the_least_size_gives_way_only_where_k_forces_it():
    assert members_allowed(943, 47) == 20
    assert members_allowed(943, 50) == 9
    assert members_allowed(943, 200) == 2


def test_weights_follow_similarity_and_a_low_temperature_chooses_one():
    clusters, _, vectors = clustered()
    ids, weights = clusters.assign(vectors, top_m=2, temperature=0.2)
    assert ids.shape == weights.shape == (120, 2)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    similar = np.take_along_axis(clusters.similarities(vectors), ids, axis=1)
    np.testing.assert_allclose(weights[:, 1] / weights[:, 0], np.exp((similar[:, 1] - similar[:, 0]) / 0.2), rtol=1e-4)
    assert clusters.assign(vectors, top_m=3, temperature=1e-3)[1][:, 0].min() > 0.999
    assert clusters.assign(vectors, top_m=99)[0].shape == (120, 3)


def test_somebody_new_is_assigned_without_having_been_clustered():
    clusters, _, vectors = clustered()
    new = blobs((5, 0, 0), dim=8, seed=9)[0]
    assert set(clusters.assign(new)[0][:, 0]) == {clusters.members["u0"][0]}
    with pytest.raises(TerminalError) as caught:
        clusters.assign(vectors[:, :4])
    assert caught.value.reason == "other_representation"


def test_drift_is_silent_while_nothing_moves_and_speaks_when_many_do():
    clusters, ids, vectors = clustered()
    still = clusters.drift(ids, vectors)
    assert still.moved == 0.0
    assert not still.recluster
    assert still.similarity_now == pytest.approx(still.similarity_then, abs=1e-5)
    swapped = np.roll(vectors, 40, axis=0)  # everybody became like another group: as similar, elsewhere
    assert clusters.drift(ids, swapped).moved == 1.0
    assert clusters.drift(ids, swapped).recluster
    strangers = np.random.default_rng(3).standard_normal(vectors.shape).astype(np.float32)
    lost = clusters.drift([f"n{i}" for i in ids], strangers)
    assert lost.moved == 0.0
    assert lost.recluster
    assert not clusters.drift([], vectors[:0]).recluster


def test_representatives_are_members_central_ones_first_and_nobody_twice():
    clusters, ids, vectors = clustered()
    central, different = clusters.representatives(1, ids, vectors, central=5, different=4)
    assert len({*central, *different}) == 9
    assert {*central, *different} <= set(clusters.of(1))
    cosine = dict(zip(ids, clusters.similarities(vectors)[:, 1], strict=True))
    others = [cosine[i] for i in clusters.of(1) if i not in central]
    assert min(cosine[i] for i in central) >= max(others)
    assert np.mean([cosine[i] for i in different]) < np.mean(others)
    few = clusters.representatives(1, ids, vectors, central=38, different=10)
    assert (len(few[0]), len(few[1])) == (38, 2)


def test_an_artefact_survives_the_disk_and_a_changed_one_is_refused(tmp_path):
    clusters, _, vectors = clustered()
    path = write_clusters(tmp_path, clusters)
    again = load_clusters(path)
    assert again.version == clusters.version == path.name
    assert again.members == clusters.members
    np.testing.assert_array_equal(again.assign(vectors)[1], clusters.assign(vectors)[1])
    about = json.loads((path / "clusters.json").read_text())
    (path / "clusters.json").write_text(json.dumps(about | {"representation": "another"}))
    with pytest.raises(TerminalError) as caught:
        load_clusters(path)
    assert caught.value.reason == "bad_clusters"
    with pytest.raises(TerminalError) as caught:
        load_clusters(tmp_path / "nowhere")
    assert caught.value.reason == "no_clusters"


def test_a_forgotten_member_is_gone_from_the_disk_and_the_version_stays(tmp_path):
    clusters, _, _ = clustered()
    path = write_clusters(tmp_path, clusters)
    write_clusters(tmp_path, load_clusters(path).without("u7"))
    assert load_clusters(path).version == clusters.version
    assert all(b'"u7"' not in file.read_bytes() for file in path.iterdir())
    assert (path / "members.json").stat().st_mode & 0o077 == 0


def test_users_are_alike_by_what_they_like_and_dislike_however_much_they_rated():
    draw = np.random.default_rng(0)
    one = draw.standard_normal((1, 2, 9, 16)).astype(np.float32)
    few, many = user_representation(one)[0], user_representation(one * 50)[0]
    np.testing.assert_allclose(few, many, atol=1e-6)
    swapped = user_representation(one[:, ::-1])[0]
    assert abs(float(few @ swapped)) < 0.3
    assert not user_representation(np.zeros((1, 2, 9, 16), dtype=np.float32)).any()
