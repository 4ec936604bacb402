"""`reki release settle`: what the folds say about how a release is trained."""

from pathlib import Path

from ranking.evaluate.ctr import Evaluation, write_files
from ranking.evaluate.settle import settle, wanted
from ranking.settled import BASELINE, VARIANT, Settled
from reki.evaluate.options import listed, stand_ins
from reki.evaluate.places import commit, places


def run(out: Path, dataset: str, folds: int, seeds: int, reuse: str, to: Path) -> None:
    """Read the results in `out`, write `to`, print what was settled; errors as `ranking.evaluate.settle.settle`."""
    evaluation = Evaluation(
        dataset, places(dataset, out, quick=False, make=False), wanted(folds, seeds), reuse=listed(reuse)
    )
    stand_ins([evaluation.runs])
    settled = settle(evaluation.runs, folds, seeds, commit())
    write_files(to.parent, {to.name: settled.text()})
    print("\n".join(lines(settled)))
    print(to)


def lines(settled: Settled) -> list[str]:
    """For people."""
    page = [
        f"{settled.dataset}, {settled.backbone}: {settled.folds} folds x {settled.seeds} seeds, {settled.users} users, "
        f"{settled.samples:,} samples{', provisional' if settled.provisional else ''}"
    ]
    for name in (VARIANT, BASELINE):
        found = settled.variants[name]
        page.append(
            f"  {name}: {found.epochs} epochs (runs: {', '.join(map(str, found.epochs_by_run))}), temperature "
            f"{found.temperature:.4f}, AUC {found.auc.mean:.4f} ± {found.auc.spread:.4f}, "
            f"GAUC {found.gauc.mean:.4f} ± {found.gauc.spread:.4f}, "
            f"log loss {found.logloss.mean:.4f} ± {found.logloss.spread:.4f}"
        )
    return page
