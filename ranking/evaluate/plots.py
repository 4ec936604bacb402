"""The plots of `reki evaluate ctr`: AUC by backbone, gains by backbone, calibration."""

from ranking.evaluate.plan import HEADLINE
from ranking.evaluate.report import Report
from ranking.evaluate.svg import curves, dots


def plots(report: Report) -> dict[str, str]:
    """SVG documents by file name; only what there are numbers for."""
    made: dict[str, str] = {}
    table = report.headline or next(iter(report.splits.values()), {})
    rows = {
        backbone: [
            (name, low, middle, high)
            for name in HEADLINE
            if name in variants
            for low, middle, high in (variants[name].auc.interval(),)
        ]
        for backbone, variants in table.items()
    }
    rows = {backbone: points for backbone, points in rows.items() if points}
    if rows:
        made["ctr-auc.svg"] = dots("AUC, with 95 % intervals over users", "AUC", rows)
    for metric in ("auc", "gauc"):
        gains = {}
        for backbone, variants in table.items():
            others = [name for name in HEADLINE if name in variants and name != "ours"]
            if "ours" not in variants or not others:
                continue
            ours = getattr(variants["ours"], metric)
            gains[backbone] = [
                (f"over {name}", *(100 * value for value in ours.over(getattr(variants[name], metric)).interval()))
                for name in others
            ]
        if gains:
            label = metric.upper()
            title = f"Relative gain of ours in {label}, with 95 % intervals over users"
            made[f"ctr-gain-{metric}.svg"] = dots(title, f"{label} gain, %", gains, zero=True)
    for backbone, variants in table.items():
        lines = {
            name: [(chance, share) for chance, share, _ in variants[name].calibration]
            for name in ("plain", "no_user_llm", "ours")
            if name in variants
        }
        if lines:
            title = f"Calibration of {backbone} after temperature scaling"
            labels = ("mean predicted chance of a like", "share of likes")
            made["ctr-calibration.svg"] = curves(title, labels, lines, diagonal=True)
            break
    return made
