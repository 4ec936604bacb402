"""The Markdown tables of the report of `reki evaluate ctr`."""

from collections.abc import Sequence

from ranking.evaluate.plan import HEADLINE
from ranking.evaluate.targets import Claim, Table, only_user_bias

SPLITS = {
    "design": "### Seed-1234 split, used for design: inputs were chosen on it, so it proves nothing",
    "head_only": "### No backbone: the head's inputs alone",
    "head_only_blind": "### No backbone, page-blind",
}


def table_lines(title: str, table: Table) -> list[str]:
    """A row for each backbone and variant; nothing for an empty table."""
    if not table:
        return []
    lines = ["", title, "", "| backbone | variant | AUC | GAUC | NDCG@10 | LogLoss | ours: AUC | ours: GAUC |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for backbone, variants in table.items():
        for variant, found in variants.items():
            cells = [f"{found.mean(name):.4f}" for name in ("auc", "gauc", "ndcg10", "logloss")]
            gains = ["", ""]
            if variant != "ours" and "ours" in variants:
                ours = variants["ours"]
                gains = [_percent(ours.auc.over(found.auc).interval()), _percent(ours.gauc.over(found.gauc).interval())]
                gains[0] += " (user bias only)" if only_user_bias(ours, found) else ""
            lines.append(f"| {' | '.join([backbone, variant, *cells, *gains])} |")
    return lines


def target_lines(made: Sequence[Claim]) -> list[str]:
    """A row for each target."""
    if not made:
        return []
    lines = ["", "| target | met on | smallest gain | largest adjusted p | not met on |", "|---|---|---|---|---|"]
    for against, metric, wanted in dict.fromkeys((claim.against, claim.metric, claim.wanted) for claim in made):
        own = [claim for claim in made if (claim.against, claim.metric) == (against, metric)]
        least = min(own, key=lambda claim: claim.gain)
        failed = [claim.backbone for claim in own if not claim.met]
        cells = [
            f"{metric.upper()} over `{against}` at least {wanted:+.1%}",
            f"{len(own) - len(failed)} of {len(own)}",
            f"{_percent((least.low, least.gain, least.high))} ({least.backbone})",
            f"{max(claim.adjusted for claim in own):.3f}",
            ", ".join(failed),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def loss_lines(table: Table) -> list[str]:
    """Where LogLoss is not lower than that of another variant of the headline."""
    worse = [
        f"{backbone} ({name})"
        for backbone, variants in table.items()
        for name, found in variants.items()
        if "ours" in variants and name in HEADLINE and name != "ours"
        if found.mean("logloss") <= variants["ours"].mean("logloss")
    ]
    said = f"not lower on {', '.join(worse)}" if worse else "lower than every other variant of the headline, throughout"
    return ["", f"LogLoss of `ours`: {said}."] if any("ours" in variants for variants in table.values()) else []


def added_lines(head_only: Table, table: Table) -> list[str]:
    """What each backbone adds to models of the head's inputs alone."""
    if not head_only or not any("ours" in variants for variants in table.values()):
        return []
    lines = ["", "What each backbone adds to these (`ours` over them):", "", "| backbone | over | AUC | GAUC |"]
    lines.append("|---|---|---|---|")
    for backbone, variants in table.items():
        for model, found in head_only.items() if "ours" in variants else ():
            ours, alone = variants["ours"], found["head_only"]
            gains = [_percent(ours.auc.over(alone.auc).interval()), _percent(ours.gauc.over(alone.gauc).interval())]
            lines.append(f"| {backbone} | {model} | {gains[0]} | {gains[1]} |")
    return lines


def _percent(interval: tuple[float, float, float]) -> str:
    low, middle, high = (100 * value for value in interval)
    return f"{middle:+.2f} % [{low:+.2f}, {high:+.2f}]"
