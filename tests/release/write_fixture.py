"""Write a release as this version writes it, with what it answers.

    python -m tests.release.write_fixture first|ours|tempered|reweighs

Run it for a new format only, under a new name: what is committed must go on loading and answering as it did.
"""

import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.release import tiny

TEMPERATURE = 1.25
FIXTURES = Path(__file__).parents[1] / "fixtures" / "releases"


def shape_of(name):
    if name == "first":
        return tiny.shape()  # what the first releases had
    from ranking.variants import VARIANTS

    ours = VARIANTS["ours"]
    head = {"head_hidden": 12, "head_reweighs": True} if name == "reweighs" else {}
    return tiny.shape(groups=tuple(ours.groups), summaries=ours.summaries, collaborative=6, **head)


def main(name):
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    changes = {"temperature": TEMPERATURE} if name in ("tempered", "reweighs") else {}
    release = tiny.write(folder, ranker_shape=shape_of(name), **changes)
    given, (texts, mask) = tiny.batch(), tiny.texts()
    with torch.inference_mode():
        item_vec, item_summary = release.hein.item(texts, mask)
        answers = {
            "logits": (logits := release.ranker()(given)),
            "probabilities": torch.sigmoid(logits / release.temperature),
            "item_vec": item_vec,
            "item_summary": item_summary,
            "user_summary": release.hein.user(texts, mask),
        }
    inputs = {**given, "texts": texts, "texts_mask": mask}
    save_file({key: value.contiguous() for key, value in inputs.items()}, folder / "inputs.safetensors")
    save_file({key: value.contiguous() for key, value in answers.items()}, folder / "answers.safetensors")
    print(release.path)


if __name__ == "__main__":
    main(sys.argv[1])
