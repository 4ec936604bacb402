"""Who takes part, and in which catalogue: 60 real users and 200 films of MovieLens-100K, the same in every run."""

from collections import Counter
from dataclasses import dataclass, replace

from knowledge.base import Action, BehaviorEvent
from knowledge.catalogue import recorded_catalogue
from knowledge.settings import EMBEDDED_SHORTLIST
from ranking.datasets.movielens import MovieLens
from ranking.split import history_length
from reki.loading import Sample

USERS, FILMS = 60, 200
ENOUGH = 10  # the stack's refresh_min_events, and where the recorded refreshes stand
CANDIDATES = 60


@dataclass(frozen=True)
class Cast:
    """User ids by what they are for; every test takes its own. `sample` holds these users and films alone."""

    sample: Sample
    changing: tuple[str, ...]  # a recorded refresh awaits them after `ENOUGH` events
    live: tuple[str, ...]  # no recorded refresh: the embedded LLM is asked
    steady: tuple[str, ...]  # for tests that publish fewer than `ENOUGH` events of one user

    def loaded(self, user_id):
        """How many of the user's ratings are loaded: what comes after is published."""
        return history_length(len(self.sample.ratings[user_id]))

    def later(self, user_id, count):
        """The user's next real ratings as events."""
        start = self.loaded(user_id)
        ratings = self.sample.ratings[user_id][start : start + count]
        assert len(ratings) == count, f"user {user_id} has too few ratings for this test"
        return [
            BehaviorEvent(
                event_id=f"walk:{user_id}:{start + number}",
                user_id=user_id,
                item_id=rating.item_id,
                action=Action.RATE,
                value=rating.value,
                occurred_at=rating.at,
            )
            for number, rating in enumerate(ratings, start=1)
        ]

    def candidates(self, user_id):
        """Films of the small catalogue that the user never rated."""
        seen = {rating.item_id for rating in self.sample.ratings[user_id]}
        return [item for item in self.sample.data.items if item not in seen][:CANDIDATES]


def choose(whole: Sample) -> Cast:
    """The cast out of the whole data set, in the order of the users' numbers."""
    recorded = whole.recorded
    waiting = {user: len(own) - history_length(len(own)) for user, own in whole.ratings.items()}
    with_enough = [user for user in whole.ratings if waiting[user] >= 2 * ENOUGH]
    changing = [
        user
        for user in with_enough
        if history_length(len(whole.ratings[user])) + ENOUGH in {k.source_rev for k in recorded.refreshes(user)[1:]}
    ][:4]
    live = [user for user in with_enough if not recorded.is_refreshed(user)][:2]
    steady = [user for user in with_enough if user not in {*changing, *live}][: USERS - len(changing) - len(live)]
    users = {*changing, *live, *steady}
    ratings = {user: own for user, own in whole.ratings.items() if user in users}
    films = _films(whole, [*changing, *live, *steady[:10]], ratings)
    data = MovieLens(
        ratings=tuple(rating for rating in whole.data.ratings if rating.user_id in users),
        users={user: profile for user, profile in whole.data.users.items() if user in users},
        items={item: profile for item, profile in whole.data.items.items() if item in films},
    )
    return Cast(replace(whole, data=data, ratings=ratings), tuple(changing), tuple(live), tuple(steady))


def _films(whole, actors, ratings):
    """The LLM's catalogue, what the actors will rate, and what they have rated most."""
    catalogue = recorded_catalogue().trimmed(EMBEDDED_SHORTLIST)
    films = dict.fromkeys([*catalogue.anchors, *catalogue.shortlist])
    for user in actors:
        start = history_length(len(ratings[user]))
        films |= dict.fromkeys(rating.item_id for rating in ratings[user][start : start + 3])
    counts = Counter(rating.item_id for own in ratings.values() for rating in own)
    films |= dict.fromkeys(item for item, _ in counts.most_common(FILMS))
    return frozenset(list(films)[:FILMS])
