"""The name of an answer in the cache; apart from the client, whose library takes half a second to import."""

import hashlib
import json

from knowledge.prompts import Prompt
from knowledge.settings import KnowledgeSettings


def answer_key(settings: KnowledgeSettings, prompt: Prompt) -> str:
    """What the answer depends on: model, messages, schema, template and sampling. 64 hexadecimal digits."""
    parts = [settings.model_name, prompt.hash, settings.llm_temperature, settings.llm_max_tokens]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
