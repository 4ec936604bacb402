"""Settings of the knowledge room. Passed in; nothing here reads the environment."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

EMBEDDED_MODEL = "smollm2-135m-instruct"
RECORDED_SCENARIO = "films"
EMBEDDED_SHORTLIST = 60  # of 4,096 tokens a slot, 60 titles leave room for a history and the whole answer


class KnowledgeSettings(BaseModel):
    """Which LLM answers, how patiently it is asked, and where answers are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    llm: Literal["recorded", "openai", "embedded"] = Field(
        default="recorded",
        description="Who answers: recorded knowledge only, any OpenAI-compatible server, or the embedded SmolLM2.",
    )
    llm_base_url: str = Field(default="", description="Address of the OpenAI-compatible server, ending in /v1.")
    llm_api_key: SecretStr = Field(default=SecretStr(""), description="Key for that server; empty = none needed.")
    llm_model: str = Field(default="", description="Name of the model to ask; empty = the embedded one.")
    llm_concurrency: int = Field(default=2, ge=1, le=1024, description="Calls running at the same time.")
    llm_queue: int = Field(default=64, ge=0, description="Calls that may wait for their turn; one more is refused.")
    llm_deadline_s: float = Field(
        default=180.0, gt=0, description="Time for one answer in seconds: waiting, calling and retrying together."
    )
    llm_retries: int = Field(default=2, ge=0, le=10, description="Further attempts after a transient failure.")
    llm_backoff_s: float = Field(default=0.5, ge=0, description="First pause before a retry, in seconds; doubles.")
    llm_temperature: float = Field(default=0.0, ge=0, le=2, description="Sampling temperature.")
    llm_max_tokens: int = Field(default=2048, ge=64, description="Longest answer in tokens; cut off is an error.")
    llm_max_body_bytes: int = Field(default=262_144, ge=1024, description="Longest HTTP answer that is read.")
    llm_breaker_failures: int = Field(
        default=5, ge=1, description="Failures in a row after which the server is left alone for a while."
    )
    llm_breaker_open_s: float = Field(default=15.0, gt=0, description="... for so many seconds.")
    llm_shortlist: int = Field(
        default=0, ge=0, description="Items that may be named as likes and dislikes; 0 = 300, embedded LLM: 60."
    )
    knowledge_recorded: bool | None = Field(
        default=None,
        description="Answer from the recorded MovieLens-100K knowledge where it has something newer. Unset = yes, "
        "except with REKI_LLM=openai, whose user ids are your own, and in other scenarios than films.",
    )
    scenario: str = Field(
        default=RECORDED_SCENARIO,
        description="Built-in scenario (films, books, music, news, products), or the path of a .toml file of your own.",
    )
    catalogue_file: Path | None = Field(
        default=None,
        description="Anchors and shortlist of your items, a JSON file; unset = those of the recorded MovieLens-100K.",
    )
    catalogue_find_file: Path | None = Field(
        default=None,
        description="Items to find some of for each user, named in their prompt beside the shortlist (large "
        "catalogues): a file of `reki knowledge catalogue --find-file`; unset = none are. Only with REKI_LLM=openai.",
    )
    knowledge_cache_dir: Path = Field(
        default=Path(".reki/data/answers"), description="Folder of answers already paid for (personal data)."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        hints = {
            "llm_base_url": "llm_base_url (such as http://host:8000/v1)",
            "llm_model": "llm_model (its name there)",
        }
        empty = [hint for name, hint in hints.items() if not getattr(self, name)]
        if self.llm == "openai" and empty:
            raise ValueError(f"llm = openai needs {' and '.join(empty)}, which {'are' if empty[1:] else 'is'} not set")
        if self.scenario != RECORDED_SCENARIO and (self.llm == "recorded" or self.knowledge_recorded):
            raise ValueError(
                f"recorded knowledge is about {RECORDED_SCENARIO}: for scenario {self.scenario} set llm to openai or "
                "embedded, and leave knowledge_recorded unset"
            )
        if self.llm == "recorded" and self.knowledge_recorded is False:
            raise ValueError("llm = recorded with knowledge_recorded = false leaves nobody to answer")
        if self.llm_base_url:
            parts = urlsplit(self.llm_base_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("llm_base_url must look like http://host:8000/v1")
        return self

    @property
    def model_name(self) -> str:
        """The model that is asked."""
        return self.llm_model or EMBEDDED_MODEL

    @property
    def shortlist_size(self) -> int:
        """How many items the prompt's shortlist holds at most."""
        return self.llm_shortlist or (EMBEDDED_SHORTLIST if self.llm == "embedded" else 300)

    @property
    def find_file(self) -> Path | None:
        """Where items are found for each user; None where nobody would be told of them."""
        return self.catalogue_find_file if self.llm == "openai" else None

    @property
    def uses_recorded(self) -> bool:
        """Whether recorded knowledge answers first."""
        if self.knowledge_recorded is not None:
            return self.knowledge_recorded
        return self.llm != "openai" and self.scenario == RECORDED_SCENARIO
