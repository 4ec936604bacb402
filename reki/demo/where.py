"""The demo's last words: where to look next."""

from reki.demo.plan import Plan, Role
from reki.demo.screen import Screen
from reki.stack.stack import Stack
from streams.topics import TopicNames


def show(screen: Screen, stack: Stack, plan: Plan, kept: bool) -> None:
    """Say which commands and addresses show the same things from outside."""
    settings = stack.settings
    user = plan.of(Role.RECORDED)[0].user_id
    topics = TopicNames(settings.feature_repo.namespace)
    screen.heading("Where to look next")
    screen.line("figures of this run        .reki/demo/summary.json")
    if not kept:
        screen.line("the same, left running     .venv/bin/reki demo --keep    (.venv/bin/reki down stops it)")
        screen.line("With the stack left up:")
    screen.line("what Feast knows           cd feature_repo && ../.venv/bin/feast feature-views list")
    screen.line(
        "a user's features          .venv/bin/feast -c feature_repo get-online-features "
        f"-e user_id={user} -f user_knowledge:knowledge_factors"
    )
    screen.line(f"the ranker                 Triton gRPC {settings.serving.triton_grpc_url}, model recommend")
    screen.line(
        f"the topics                 {topics.behavior}, {topics.refresh_requests}, {topics.feature_updates}, "
        f"{topics.dead_letters} on {settings.streams.kafka_bootstrap}"
    )
