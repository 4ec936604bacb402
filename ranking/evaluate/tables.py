"""The Markdown tables of the report of `reki evaluate ctr`."""

from collections.abc import Iterable, Sequence

from ranking.evaluate.bootstrap import DRAWS
from ranking.evaluate.targets import ERROR, Claim, Loss, Table, only_user_bias

SPLITS = {
    "design": "### Seed-1234 split, used for design: inputs were chosen on it, so it proves nothing",
    "time": "### One global time split",
    "head_only": "### No backbone: the head's inputs alone",
    "head_only_blind": "### No backbone, page-blind",
}


NOTES = {
    "time": "Trained on all samples before one moment (70 %), validated on the next 10 %, tested on the last 20 %; "
    "what is fitted sees the ratings before that moment and the knowledge of users whose first events came before it. "
    "Intervals are over whole users here too, though a user may have samples in training and in the test.",
}


def table_lines(title: str, table: Table, note: str = "") -> list[str]:
    """A row for each backbone and variant; nothing for an empty table."""
    if not table:
        return []
    lines = [
        "",
        title,
        *(["", note] if note else []),
        "",
        "| backbone | variant | AUC | GAUC | NDCG@10 | LogLoss | ours: AUC | ours: GAUC |",
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    for backbone, variants in table.items():
        for variant in _beside(variants):
            found = variants[variant]
            cells = [f"{found.mean(name):.4f}" for name in ("auc", "gauc", "ndcg10", "logloss")]
            gains = ["", ""]
            if variant != "ours" and "ours" in variants:
                ours = variants["ours"]
                gains = [_percent(ours.auc.over(found.auc).interval()), _percent(ours.gauc.over(found.gauc).interval())]
                gains[0] += " (user bias only)" if only_user_bias(ours, found) else ""
            lines.append(f"| {' | '.join([backbone, variant, *cells, *gains])} |")
    return lines


def _beside(variants: Iterable[str]) -> list[str]:
    """The literal strong base beside the one that is compared with; the others as they come."""
    names = list(variants)
    if {"strong", "strong_long"} <= {*names}:
        names.remove("strong_long")
        names.insert(names.index("strong") + 1, "strong_long")
    return names


def strong_lines(table: Table) -> list[str]:
    """Which of the two strong bases the targets compare with, where both were trained."""
    seen = {
        backbone: [variants[name].mean("valid_auc") for name in ("strong", "strong_long")]
        for backbone, variants in table.items()
        if {"strong", "strong_long"} <= set(variants)
    }
    if not seen:
        return []
    worse = [backbone for backbone, (short, long) in seen.items() if long > short]
    said = "the better of the two on validation users"
    if worse:
        said += f" but for {', '.join(worse)}, where the gain over `strong_long` is the one to read"
    numbers = ", ".join(f"{backbone} {short:.4f} against {long:.4f}" for backbone, (short, long) in seen.items())
    return [
        "",
        "`strong_long` is the literal definition of a strong base: statistics, and a 50-item history (with attention "
        f"where the backbone has it). The targets compare with `strong` (10 entries), {said} (AUC there: {numbers}).",
    ]


def target_lines(made: Sequence[Claim], losses: Sequence[Loss]) -> list[str]:
    """On how many backbones each target is met, a line each; then every backbone with every target."""
    if not made:
        return []
    lines = ["", f"Met: at least the gain that was wanted, interval above zero, Holm-adjusted p below {ERROR}.", ""]
    kinds = list(dict.fromkeys((claim.against, claim.metric, claim.wanted) for claim in made))
    heads, wanted = ["backbone"], ["*wanted*"]
    for against, metric, least in kinds:
        own = [claim for claim in made if (claim.against, claim.metric) == (against, metric)]
        smallest = min(own, key=lambda claim: claim.gain)
        heads.append(f"{metric.upper()} over `{against}`")
        wanted.append(f"*at least {100 * least:+.1f} %*")
        lines.append(
            f"* {heads[-1]} at least {100 * least:+.1f} %: {_met_on(own)}; smallest gain "
            f"{_percent((smallest.low, smallest.gain, smallest.high))} ({smallest.backbone}), "
            f"largest adjusted p {_chance(max(claim.adjusted for claim in own), len(made))}"
        )
    if losses:
        least_loss = min(losses, key=lambda loss: loss.margin)
        heads.append("LogLoss minus the next lowest")
        wanted.append("*below 0*")
        lines.append(
            f"* LogLoss lower than that of every other variant of the headline: {_met_on(losses)}; nearest "
            f"{-least_loss.margin:+.4f} ({least_loss.backbone}, `{least_loss.against}`)"
        )
    lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", f"| {' | '.join(wanted)} |"]
    cells = {(claim.backbone, claim.against, claim.metric): claim for claim in made}
    lost = {loss.backbone: loss for loss in losses}
    for backbone in dict.fromkeys(claim.backbone for claim in made):
        row = [backbone]
        for against, metric, _ in kinds:
            claim = cells.get((backbone, against, metric))
            row.append(f"{_percent((claim.low, claim.gain, claim.high))} {_said(claim)}" if claim else "")
        if losses:
            loss = lost.get(backbone)
            row.append(f"{-loss.margin:+.4f} (`{loss.against}`) {_said(loss)}" if loss else "")
        lines.append(f"| {' | '.join(row)} |")
    return lines


def _chance(adjusted: float, count: int) -> str:
    """Holm's p-value; where no draw was against the claim, that it could not be smaller with so few draws."""
    least = 2 / (DRAWS + 1) * count
    at_most = f" (no draw against it: {DRAWS:,} draws and {count} comparisons tell no less)"
    return f"{adjusted:.3f}{at_most if adjusted <= least * (1 + 1e-9) else ''}"


def _said(claim: Claim | Loss) -> str:
    return "met" if claim.met else "**not met**"


def _met_on(own: Sequence[Claim | Loss]) -> str:
    failed = [claim.backbone for claim in own if not claim.met]
    said = f"**met on {len(own) - len(failed)} of {len(own)} backbones**"
    return f"{said}, not on {', '.join(failed)}" if failed else said


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
