"""Settings of the serving side: Triton, the request-time reader, the client. Passed in, never read here."""

from pydantic import BaseModel, ConfigDict, Field


class ServingSettings(BaseModel):
    """What the export writes into the model repository, and what a client needs to call it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Client
    triton_grpc_url: str = Field(default="127.0.0.1:8001", description="Triton's gRPC address, host:port.")
    triton_http_url: str = Field(default="http://127.0.0.1:8000", description="Triton's HTTP address, for probes.")
    recommend_deadline_s: float = Field(
        default=1.0, gt=0, description="A request that is not answered by then fails with reason `deadline`."
    )
    recommend_in_flight: int = Field(
        default=64, ge=1, description="More requests at once than this are refused in the caller, reason `overloaded`."
    )

    # Features model
    feature_deadline_s: float = Field(
        default=0.25, gt=0, description="How long one read of the online store may take, reconnecting included."
    )
    item_cache_rows: int = Field(
        default=200_000, ge=0, description="Rows of the in-process item cache (about 1 KB each); 0 switches it off."
    )
    item_cache_ttl_s: float = Field(
        default=30.0, gt=0, description="A cached item row is read again after this time: new item vectors show then."
    )
    recommend_batch: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Most requests that Triton puts in one batch; 16 of the longest fit into a /dev/shm of 64 MB.",
    )

    # Ranker model
    ranker_threads: int = Field(default=1, ge=1, description="CPU threads of the ranker where there is no GPU.")
