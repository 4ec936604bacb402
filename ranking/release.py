"""The release artefact: HEIN and ranker trained together, one folder, named by the hash of its content.

    <release id>/hein.safetensors, ranker.safetensors, vocabulary.json, release.json; beside them CARD.md, for people

Loading needs the standard library, numpy, torch and safetensors alone: it also happens inside Triton. Nothing is
pickled. `release.json` names the hash; a folder whose content does not match is refused.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor, nn

from encoders.hein import Hein, HeinShape
from ranking.card import card
from ranking.model import Ranker
from ranking.release_checks import check
from ranking.shape import RankerShape

if TYPE_CHECKING:
    from encoders.condense import Condenser
    from encoders.text_cache import Encoder, EncodingCache

_Shape = TypeVar("_Shape")
_Network = TypeVar("_Network", bound=nn.Module)
FORMAT = 1
_HEIN, _RANKER, _VOCABULARY, _ABOUT = "hein.safetensors", "ranker.safetensors", "vocabulary.json", "release.json"
_CARD = "CARD.md"  # not hashed: no id depends on its wording


@dataclass(frozen=True)
class About:
    """What a release says of itself (release.json, beside its id)."""

    scenario: str
    factors: tuple[str, ...]
    encoder_id: str
    dim: int  # d
    history_length: int  # H: newest entries that the ranker reads
    ring_size: int  # N: events behind experienced vectors and statistics
    anchors: tuple[str, ...]  # item ids, in the order of `user_anchors`
    anchor_means: tuple[float, ...]  # the LLM's mean per anchor over training users
    accepted_knowledge: tuple[str, ...]  # model|template_version|catalogue_version
    model_name: str
    metrics: Mapping[str, float]
    hein: HeinShape
    ranker: RankerShape
    training: Mapping[str, Any] = field(default_factory=dict)  # data, seed, counts: for people
    temperature: float = 1.0  # a probability is sigmoid(logit / temperature); earlier releases had none
    format: int = FORMAT


@dataclass(frozen=True)
class Release:
    """A verified release folder."""

    release_id: str
    path: Path
    about: About
    vocabulary: Mapping[str, int]  # item id -> index; 0 is padding, 1 is unknown

    @property
    def scenario(self) -> str:
        """Name of the scenario."""
        return self.about.scenario

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors, in the order of the vectors."""
        return self.about.factors

    @property
    def encoder_id(self) -> str:
        """The sentence encoder that its texts must be encoded with."""
        return self.about.encoder_id

    @property
    def dim(self) -> int:
        """Width d of a factor's vector."""
        return self.about.dim

    @property
    def history_length(self) -> int:
        """H: newest entries that the ranker reads."""
        return self.about.history_length

    @property
    def ring_size(self) -> int:
        """N: newest events behind experienced vectors and statistics."""
        return self.about.ring_size

    @property
    def anchors(self) -> tuple[str, ...]:
        """Anchor items, in the order of `user_anchors`."""
        return self.about.anchors

    @property
    def anchor_means(self) -> tuple[float, ...]:
        """The LLM's mean value per anchor over training users."""
        return self.about.anchor_means

    @property
    def accepted_knowledge(self) -> tuple[str, ...]:
        """model|template_version|catalogue_version of the expectations it was trained with."""
        return self.about.accepted_knowledge

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was measured when it was trained."""
        return self.about.metrics

    @property
    def temperature(self) -> float:
        """A probability is sigmoid(logit / temperature)."""
        return self.about.temperature

    @property
    def model_name(self) -> str:
        """Name of the backbone."""
        return self.about.model_name

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read and verify a release folder.

        Raises `TerminalError`: `no_release` if it is incomplete, `bad_release` if its content does not match its
        hash, cannot be read or is not what a release holds, `other_format` if another version wrote it. (Where
        knowledge.base cannot be imported, in the Triton environment, the same message comes as a ValueError.)
        """
        folder = Path(path)
        try:
            named = _object(_ABOUT, json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
            digest = _digest(folder, named)
        except FileNotFoundError as error:
            raise _refused("no_release", f"{folder} is no release: {Path(error.filename).name} is missing") from error
        except OSError as error:
            message = f"{folder} cannot be read as the folder of a release ({error}): make it readable or train again"
            raise _refused("bad_release", message) from error
        except (ValueError, RecursionError) as error:
            raise _refused("bad_release", f"{folder / _ABOUT} is damaged ({error}): train again") from error
        if named.get("format") != FORMAT:
            raise _refused(
                "other_format",
                f"{folder} has release format {named.get('format')!r}, this reki reads {FORMAT}: train again",
            )
        if named.get("release_id") != digest:
            raise _refused(
                "bad_release",
                f"{folder} was changed after it was written (it says {named.get('release_id')!r}, its content is "
                f"{digest}): train again",
            )
        try:
            about = _about(named)
            vocabulary = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
            check(about, vocabulary)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            message = f"{folder} does not hold what a release holds ({said}): train again"
            raise _refused("bad_release", message) from error
        return cls(digest, folder, about, vocabulary)

    @cached_property
    def hein(self) -> Hein:
        """The expert network, in evaluation mode."""
        return _filled(Hein, self.about.hein, self.path / _HEIN)

    def ranker(self) -> Ranker:
        """A new ranker in evaluation mode; its forward takes the tensors of the design, "Serving"."""
        return _filled(Ranker, self.about.ranker, self.path / _RANKER)

    def condenser(self, encoder: "Encoder", cache: "EncodingCache") -> "Condenser":
        """Texts to this release's vectors; `encoder` must be the release's own.

        Raises `TerminalError` (`other_encoder`) for another encoder: its vectors live in another space.
        """
        from encoders.condense import Condenser  # not at the top: serving needs no texts

        if encoder.encoder_id != self.encoder_id:
            raise _refused(
                "other_encoder",
                f"release {self.release_id} was trained with encoder {self.encoder_id}, not {encoder.encoder_id}",
            )
        return Condenser(self.hein, self.factors, encoder, cache)


def write_release(folder: Path, about: About, hein: Hein, ranker: Ranker, vocabulary: Mapping[str, int]) -> Release:
    """Write a release below `folder` and return it, verified; the same content twice is one release.

    It is written under another name and renamed: nobody sees half of it. Raises ValueError for what `Release.load`
    would refuse.
    """
    check(about, vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
    try:
        save_file(_tensors(hein), draft / _HEIN)
        save_file(_tensors(ranker), draft / _RANKER)
        (draft / _VOCABULARY).write_text(json.dumps(dict(vocabulary)), encoding="utf-8")
        named = json.loads(json.dumps(asdict(about)))
        named["release_id"] = _digest(draft, named)
        (draft / _ABOUT).write_text(json.dumps(named, indent=1) + "\n", encoding="utf-8")
        made = Release(str(named["release_id"]), draft, about, vocabulary)
        (draft / _CARD).write_text(card(made), encoding="utf-8")
        draft.chmod(0o755)
        for file in draft.iterdir():
            file.chmod(0o644)  # safetensors writes for its own user alone; a server may be another one
        target = folder / made.release_id
        if target.exists():
            (draft / _CARD).replace(target / _CARD)  # an earlier version may have worded it otherwise, or not at all
            shutil.rmtree(draft)
            os.utime(target / _ABOUT)  # "the newest release" is the one trained last
        else:
            draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return Release.load(target)


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def _filled(kind: Callable[[_Shape], _Network], shape: _Shape, file: Path) -> _Network:
    try:
        network = kind(shape)
        network.load_state_dict(load(file.read_bytes()))
    # The first two are of the file; the others of sizes that no network can have.
    except (OSError, SafetensorError, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise _refused("bad_release", f"the weights in {file} cannot be read: {error}: train again") from error
    network.eval()
    network.requires_grad_(False)
    return network


def _digest(folder: Path, named: Mapping[str, Any]) -> str:
    """12 hex characters over all files; release.json without the id that is being computed."""
    content = hashlib.sha256()
    for name in (_HEIN, _RANKER, _VOCABULARY):
        content.update(hashlib.sha256((folder / name).read_bytes()).digest())
    rest = {key: value for key, value in named.items() if key != "release_id"}
    content.update(json.dumps(rest, sort_keys=True).encode())
    return content.hexdigest()[:12]


def _about(named: Mapping[str, Any]) -> About:
    values = {key: value for key, value in named.items() if key != "release_id"}
    # A field that an earlier release lacks has that release's meaning by default.
    values["hein"] = HeinShape(**_tuples(_object("hein", values["hein"])))
    values["ranker"] = RankerShape(**_tuples(_object("ranker", values["ranker"])))
    return About(**_tuples(values))


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _object(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be a JSON object; it is {str(value)[:80]!r}")
    return value


def _refused(reason: str, message: str) -> Exception:
    try:
        from knowledge.base.errors import TerminalError
    except ImportError:  # the Triton environment has no pydantic, which knowledge.base needs
        return ValueError(message)
    return TerminalError(reason, message)
