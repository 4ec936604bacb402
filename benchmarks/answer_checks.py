"""How well answers are checked: sensitive claims on test sentences and recorded texts, echoes, items named too often.

Run: `.venv/bin/python benchmarks/answer_checks.py --out checks.json` (about ten seconds). Sentences are those of
`tests/knowledge/sensitive.jsonl`; recorded texts are `knowledge/data/ml-100k`, in which no claim is known to stand, so
that whatever is found there is a mistake of the filter (the rules were written with them in sight).
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from knowledge.echo import EchoCheck
from knowledge.naming import naming_report
from knowledge.prompts import Limits
from knowledge.recorded import RecordedStore
from knowledge.sensitive import sensitive_topic, without_sensitive
from knowledge.text import clean

SENTENCES = Path(__file__).resolve().parent.parent / "tests" / "knowledge" / "sensitive.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    out = parser.parse_args().out
    store = RecordedStore.load()
    text = json.dumps({**sentences(), "recorded": recorded(store), "named": named(store)}, indent=2)
    print(text)
    if out:
        out.write_text(text + "\n")


def sentences() -> dict[str, Any]:
    """Precision and recall by set."""
    rows = [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    figures: dict[str, Any] = {}
    for name in sorted({row["set"] for row in rows}):
        own = [
            (row["topic"] is not None, sensitive_topic(row["text"]) is not None) for row in rows if row["set"] == name
        ]
        hits = sum(told and found for told, found in own)
        figures[name] = {
            "sentences": len(own),
            "claims": sum(told for told, _ in own),
            "precision": round(hits / sum(found for _, found in own), 2),
            "recall": round(hits / sum(told for told, _ in own), 2),
        }
    return figures


def recorded(store: RecordedStore) -> dict[str, Any]:
    """Mistakes on recorded texts, and the time that one text takes."""
    users = [text for user in store.users() for own in store.refreshes(user) for text in own.factors.values()]
    items = [text for factors in store.items().values() for text in factors.values()]
    began = time.process_time()
    sensitive = sum(bool(without_sensitive(text)[1]) for text in users)
    took = time.process_time() - began
    check, limit = EchoCheck(), Limits().text_chars
    return {
        "user_texts": len(users),
        "taken_for_sensitive": sensitive,
        "texts": len(users) + len(items),
        "taken_for_echoes": sum(bool(check.without(clean(text, limit))[1]) for text in users + items),
        "ms_a_text": round(1000 * took / len(users), 2),
    }


def named(store: RecordedStore) -> dict[str, Any]:
    """The naming report on the users' initial expectations."""
    report = naming_report([own.expectations for own in store.users().values()], store.catalogue.shortlist)
    return {
        "users": report.users,
        "items": len(report.items),
        "never": report.never,
        "by_tenth_of_the_shortlist": report.by_place,
        "flagged": {item.item_id: round(item.share, 3) for item in report.flagged},
    }


if __name__ == "__main__":
    main()
