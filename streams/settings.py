"""Settings of the streaming side: broker, topics, behaviour service, refresh policy, health. Passed in."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class StreamSettings(BaseModel):
    """Everything that the stream worker and the refresh worker need beside features and knowledge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Broker
    kafka_bootstrap: str = Field(default="127.0.0.1:9092", description="Kafka bootstrap servers, comma-separated.")
    kafka_last_resort: bool = Field(
        default=False, description="The broker is the memory-only Tansu: no idempotent producers, no end offsets."
    )
    kafka_session_timeout_s: float = Field(
        default=6.0, gt=0, description="A silent member leaves its group after this time; brokers refuse below 6 s."
    )
    kafka_rebalance_timeout_s: float = Field(
        default=30.0, gt=0, description="How long a rebalance waits for members to finish their batch and commit."
    )
    kafka_request_timeout_s: float = Field(
        default=8.0, gt=0, description="How long producers and admin calls wait before they raise a clear error."
    )

    # Topics
    topic_replication: int = Field(
        default=0, ge=0, le=5, description="Replicas of every topic; 0 = as many as there are brokers, at most 3."
    )
    behavior_partitions: int = Field(default=6, ge=1, description="Partitions of `behavior` (12+ in production).")
    slow_partitions: int = Field(default=3, ge=1, description="Partitions of `items` and `profiles`.")
    refresh_partitions: int = Field(
        default=6, ge=1, description="Partitions of `refresh-requests` and of `feature-updates`."
    )
    behavior_retention_s: float = Field(
        default=7 * 86400.0, gt=0, description="Retention of `behavior`; a forgotten user's stub outlives it by a day."
    )

    # Behaviour service
    ring_size: int = Field(default=100, ge=1, le=1000, description="N: newest events kept in a user's state.")
    stream_poll_records: int = Field(default=500, ge=1, description="Largest micro-batch of one poll.")
    stream_commit_interval_s: float = Field(
        default=0.25, gt=0, description="Finished records are flushed offline and committed at most this often."
    )
    stream_commit_records: int = Field(default=5000, ge=1, description="... or as soon as so many are finished.")
    stream_wait_replicas: int = Field(
        default=0, ge=0, description="Replicas that must have fsynced state before a commit (WAITAOF's second number)."
    )
    stream_durable_timeout_s: float = Field(
        default=5.0, gt=0, description="How long a commit waits for Redis' fsync before the batch is tried again."
    )
    stream_retry_s: float = Field(
        default=0.5, gt=0, description="Pause of all partitions after a transient error; polled on meanwhile."
    )
    vector_cache_items: int = Field(default=20_000, ge=1, description="Item vectors kept in the stream worker.")
    vector_cache_ttl_s: float = Field(default=60.0, ge=0, description="Age after which an item vector is read again.")
    vector_cache_miss_ttl_s: float = Field(
        default=2.0, ge=0, description="The same for an item without a vector: it may get one any moment."
    )
    reject_ttl_s: int = Field(default=3600, ge=1, description="How long `await_applied` can tell why an event failed.")

    # Refresh policy and worker
    refresh_min_events: int = Field(default=10, ge=1, description="New events that make a user due for a refresh.")
    refresh_min_drift: float = Field(
        default=0.0, ge=0, description="Drift (1 - cosine) of the experienced vectors that makes a user due; 0 = off."
    )
    refresh_max_age_s: float = Field(
        default=30 * 86400.0, ge=0, description="Knowledge of this age is renewed at the next new event; 0 = never."
    )
    refresh_debounce_s: float = Field(default=30.0, ge=0, description="Least time between two refreshes of one user.")
    refresh_settle_s: float = Field(default=2.0, ge=0, description="Quiet time that ends a burst of events.")
    refresh_max_delay_s: float = Field(
        default=30.0, ge=0, description="Longest wait for a burst to end before the user is refreshed anyway."
    )
    refresh_deadline_s: float = Field(
        default=300.0,
        gt=0,
        description="A published request without an answer is due again after this time. Longer than llm_deadline_s "
        "and the waits around it: else a slow LLM is asked twice for the same answer.",
    )
    refresh_token_budget: int = Field(
        default=100_000, ge=1, description="Tokens a minute that the scheduler may plan for."
    )
    refresh_tokens_estimate: int = Field(default=2_000, ge=1, description="Tokens planned for one request.")
    refresh_tick_s: float = Field(default=0.2, gt=0, description="How often the scheduler looks for due users.")
    refresh_concurrency: int = Field(default=4, ge=1, description="Users refreshed at the same time by one worker.")
    refresh_full_every: int = Field(
        default=5,
        ge=1,
        description="Every M-th generation is made from the events alone instead of building on the last; 1 = each.",
    )
    refresh_full_drift: float = Field(
        default=0.5,
        ge=0,
        description="Drift of the experienced vectors that makes a generation start from the events alone; 0 = none.",
    )

    # Health and tests
    stream_health_port: int = Field(default=0, ge=0, le=65535, description="/health of the stream worker; 0 = any.")
    refresh_health_port: int = Field(default=0, ge=0, le=65535, description="/health of the refresh worker; 0 = any.")
    faust_dir: Path = Field(
        default=Path(".reki/data/faust"),
        description="Folder that Faust insists on; the applications keep nothing in it, and may share it.",
    )
    worker_id: str = Field(default="", description="Name of this process in logs and acks; empty = host and pid.")
    fault_point: str = Field(
        default="", description="TESTS ONLY: crash without cleaning up (exit 9) at this point, such as E3."
    )
    fault_after: int = Field(default=1, ge=1, description="TESTS ONLY: at which passing of the fault point.")
