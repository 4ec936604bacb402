"""What `publish` returns: where an event stands on the topic, so that one can wait for its effect."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BehaviorToken:
    """The place of one published event.

    `topic_id` is empty where the broker has none and the producer was given no Redis: `await_applied` then takes the
    id that the workers use. `event_id` is empty for a forget record.
    """

    user_id: str
    topic_id: str
    partition: int
    offset: int
    event_id: str = ""
