"""Texts and expectations: scenarios, prompts, the LLM client, the answer cache, recorded and live knowledge."""
