"""The measurement of collective extraction must not see what it predicts."""

from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.cluster_prompts import cluster, line, users
from encoders.collective import cluster_requests
from knowledge.base import ItemProfile, UserProfile
from knowledge.scenario import load_scenario
from ranking.datasets.movielens import MovieLens, Rating
from ranking.split import history_length

START = datetime(1998, 1, 1, tzinfo=UTC)


def ratings_of(count=60, each=24):
    draw = np.random.default_rng(0)
    return [
        Rating(str(user), str(item), float(draw.integers(1, 6)), START + timedelta(hours=hour))
        for user in range(1, count + 1)
        for hour, item in enumerate(draw.permutation(np.arange(1, 201))[:each])
    ]


def prompts(ratings):
    items = {str(n): ItemProfile(item_id=str(n), title=f"Film {n}") for n in range(1, 201)}
    people = {str(n): UserProfile(user_id=str(n), fields={"age": "30"}) for n in range(1, 61)}
    data = MovieLens(tuple(sorted(ratings, key=lambda r: r.at)), people, items)
    draw = np.random.default_rng(1)
    vectors = {item_id: draw.standard_normal((9, 16)).astype(np.float32) for item_id in items}
    scenario = load_scenario("films")
    # The recorded catalogue's ids beyond these items have no title and are left out of the prompts.
    population = users(data, scenario, vectors, "test")
    clusters = cluster(population, "user", 3, 0)
    requests = cluster_requests(clusters, population.ids, population.vectors, population.members)
    return clusters.version, [line(request, data, scenario)["messages"] for request in requests]


def test_later_ratings_of_users_change_nothing_in_the_prompts():
    ratings = ratings_of()
    first = history_length(24)
    changed = [
        rating if place % 24 < first else rating._replace(item_id=str(1 + place % 7), value=1.0)
        for place, rating in enumerate(ratings)
    ]
    assert changed != ratings
    assert prompts(changed) == prompts(ratings)
    earlier = [r._replace(value=1.0) if place % 24 == 0 else r for place, r in enumerate(ratings)]
    assert prompts(earlier) != prompts(ratings)
