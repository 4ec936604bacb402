"""The LLM client of a bulk run: the ordinary one, which also counts the bytes of what it is asked."""

from collections import Counter

from knowledge.answers import Answer
from knowledge.base import TransientError
from knowledge.client import LlmClient
from knowledge.meter import Meter
from knowledge.prompts import Prompt
from knowledge.settings import KnowledgeSettings


class BulkClient:
    """An `Llm`. `bytes_in`: UTF-8 bytes of the messages of answered questions, by purpose."""

    def __init__(self, settings: KnowledgeSettings) -> None:
        self._client = LlmClient(settings)
        self.bytes_in: Counter[str] = Counter()

    @property
    def meter(self) -> Meter:
        """The client's own."""
        return self._client.meter

    @meter.setter
    def meter(self, meter: Meter) -> None:
        self._client.meter = meter

    @property
    def trouble(self) -> TransientError | None:
        """Why the last call got no answer; None once one did."""
        return self._client.trouble

    async def complete(self, prompt: Prompt, purpose: str) -> Answer:
        """Ask."""
        answer = await self._client.complete(prompt, purpose)
        self.bytes_in[purpose] += sum(len(str(message["content"]).encode()) for message in prompt.messages)
        return answer

    def cache_key(self, prompt: Prompt) -> str:
        """Name the answer."""
        return self._client.cache_key(prompt)

    async def close(self) -> None:
        """Give back connections."""
        await self._client.close()
