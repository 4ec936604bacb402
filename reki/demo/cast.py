"""The demo's visitors, chosen from the data set as it is loaded."""

from ranking.split import history_length, split_users
from reki.demo.plan import Plan, Rated, live_users, make_plan
from reki.loading import Sample


def demo_plan(sample: Sample) -> Plan:
    """The visitors, chosen from the whole data set."""
    users = list(sample.ratings)
    split = split_users(users)
    lengths = {user: history_length(len(own)) for user, own in sample.ratings.items()}
    later = {user: len(own) - lengths[user] for user, own in sample.ratings.items()}
    refreshed = {user: frozenset(k.source_rev for k in sample.recorded.refreshes(user)[1:]) for user in users}
    ratings = {user: tuple(Rated(r.item_id, r.value, r.at) for r in own) for user, own in sample.ratings.items()}
    live = live_users(split.train, later, frozenset(user for user in users if refreshed[user]))
    return make_plan(ratings, lengths, split.test, live, refreshed, list(sample.data.items))
