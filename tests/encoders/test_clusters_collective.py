"""From clusters to requests and weights, and weighted expectations as vectors."""

import numpy as np

from encoders.clusters import build_clusters
from encoders.collective import cluster_requests, memberships, soft_vectors
from encoders.expected import expected
from knowledge.base import Expectations
from knowledge.collective import ClusterMember


def population():
    draw = np.random.default_rng(0)
    vectors = (np.repeat(np.eye(3, 8), 25, axis=0) + 0.1 * draw.standard_normal((75, 8))).astype(np.float32)
    ids = [f"user-{n}" for n in range(75)]
    return ids, vectors, build_clusters(ids, vectors, 3, entity="user", representation="test")


def test_every_member_is_asked_about_in_one_request_and_the_missing_are_left_out():
    ids, vectors, clusters = population()
    members = {i: ClusterMember(i) for i in ids if i != "user-0"}
    requests = list(cluster_requests(clusters, ids, vectors, members))
    assert [r.cluster for r in requests] == [0, 1, 2]
    assert sorted(m.entity_id for r in requests for m in r.members) == sorted(members)
    for request in requests:
        own = {m.entity_id for m in request.members}
        assert {*request.central, *request.different} <= own
        assert request.clusters_version == clusters.version
    assert [r.cluster for r in cluster_requests(clusters, ids, vectors, members, [2])] == [2]


def test_memberships_are_plain_pairs_nearest_first():
    _, vectors, clusters = population()
    own = memberships(clusters, vectors, top_m=2)
    assert len(own) == 75
    assert all(first[1] >= second[1] and type(first[0]) is int for first, second in own)


def test_collective_vectors_are_weighted_means_of_the_clusters_vectors():
    cluster_vectors = np.zeros((2, 1, 2), dtype=np.float32)
    cluster_vectors[0, 0], cluster_vectors[1, 0] = (1, 0), (0, 1)
    mixed = soft_vectors(np.array([[0, 1]]), np.array([[0.8, 0.6]], dtype=np.float32), cluster_vectors)
    np.testing.assert_allclose(mixed[0, 0], (0.8, 0.6), atol=1e-6)


def test_a_heavier_expectation_pulls_the_mean_more_and_weights_of_one_change_nothing():
    vectors = {str(n): np.random.default_rng(n).standard_normal((9, 16)).astype(np.float32) for n in range(4)}
    plain = Expectations(likes=("0", "1"), dislikes=("2",))
    weighted = Expectations(likes=("0", "1"), dislikes=("2",), weights={"0": 3.0, "2": 0.1})
    means = expected(weighted, {}, vectors, [])[0]
    np.testing.assert_allclose(means[0], 0.75 * vectors["0"] + 0.25 * vectors["1"], atol=1e-5)
    np.testing.assert_allclose(means[1], vectors["2"], atol=1e-5)
    same = Expectations(likes=("0", "1"), dislikes=("2",), weights={"0": 1.0})
    np.testing.assert_allclose(expected(same, {}, vectors, [])[0], expected(plain, {}, vectors, [])[0], atol=1e-6)
