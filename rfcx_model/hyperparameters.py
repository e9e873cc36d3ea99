"""Every knob: its name, default, unit, limits and source; grouped by the stage that reads it.

The defaults are the diary's settings (the 5th-place team's page of 2021-02-03), so `Hyperparameters()`
is the documented baseline. Nothing else in the project lists, defaults or checks a knob.
A stage's name is made from the groups that it reads (`READS`), so a knob's group decides what is
made again when the knob changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

_strict: Final = ConfigDict(extra="forbid", allow_inf_nan=False)

MixupSite = Literal["none", "input", "stage3", "stage4"]
StageName = Literal["stage1", "stage2", "stage3"]
STAGES: Final[tuple[StageName, ...]] = ("stage1", "stage2", "stage3")
LabelRule = Literal["convex", "union", "diary"]
TeacherScheme = Literal["own", "nested", "diary"]

Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


@dataclass(frozen=True, config=_strict)
class Frontend:
    """Audio to log-mel. What stands here names the spectrogram cache."""

    sample_rate_hz: Annotated[int, Field(ge=4000, le=192_000)] = 32_000  # diary
    n_fft: Annotated[int, Field(ge=64)] = 2048  # 64 ms at 32 kHz; assumption, the diary does not say
    hop_length: Count = 512  # 62.5 frames a second; diary
    n_mels: Annotated[int, Field(ge=4, le=512)] = 128  # diary
    f_min_hz: NonNegative = 0.0  # assumption
    f_max_hz: Positive = 16_000.0  # half the rate; assumption
    range_db: Annotated[float, Field(gt=0, le=200)] = 100.0  # kept below a recording's loudest cell

    @property
    def frames_per_s(self) -> float:
        """Frames in one second."""
        return self.sample_rate_hz / self.hop_length

    @model_validator(mode="after")
    def _bands(self) -> Frontend:
        if not self.f_min_hz < self.f_max_hz <= self.sample_rate_hz / 2:
            raise ValueError(
                "0 <= f_min_hz < f_max_hz <= sample_rate_hz / 2 must hold, but got "
                f"f_min_hz={self.f_min_hz:g}, f_max_hz={self.f_max_hz:g}, sample_rate_hz={self.sample_rate_hz}"
            )
        return self


@dataclass(frozen=True, config=_strict)
class Windows:
    """Log-mel to labelled training windows."""

    normalise: Literal["recording", "band_median"] = "recording"  # diary; band_median: notes of 2026
    window_frames: Annotated[int, Field(ge=32)] = 512  # 8.19 s; diary
    overlap_frames: Natural = 49  # 8 windows cover 60 s; diary
    box_overlap: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5  # see labels.py for the rule; assumption

    @model_validator(mode="after")
    def _overlap(self) -> Windows:
        if self.overlap_frames >= self.window_frames:
            raise ValueError(
                "overlap_frames < window_frames must hold, but got "
                f"overlap_frames={self.overlap_frames}, window_frames={self.window_frames}"
            )
        return self


@dataclass(frozen=True, config=_strict)
class Network:
    """RFCXNet."""

    backbone: str = "resnet18"  # any timm `features_only` backbone; diary
    pretrained: str = "hub"  # "hub", "none", or the path of a weight file
    pooling: Literal["attention", "mean"] = "attention"  # over time; diary
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # before the head; diary has none

    @property
    def source(self) -> str:
        """Which pretrained weights, by backbone and where they are from; empty where there are none."""
        return "" if self.pretrained == "none" else f"{self.backbone} from {self.pretrained}"


@dataclass(frozen=True, config=_strict)
class Augment:
    """SpecAugment-like masks, drawn per window, in every stage."""

    time_mask_frames: Natural = 40  # longest time mask; diary
    mel_mask_mels: Natural = 30  # widest mel mask; diary
    mask_probability: Fraction = 0.5  # of each of the two; diary
    gain_db: NonNegative = 0.0  # a window is shifted by a uniform draw within +- this; diary has none


@dataclass(frozen=True, config=_strict)
class Stage1:
    """Crops around confirmed calls, every unknown cell taken as absent."""

    epochs: Natural = 50
    learning_rate: Positive = 1e-3
    cosine_epochs: Count = 10  # T_max of the cosine, stepped per batch
    batch_crops: Count = 64
    crops_per: Literal["recording", "call"] = "recording"  # an epoch's crops: one a TP recording (diary), or a TP row
    crop: Literal["event", "random"] = "event"
    jitter_frames: tuple[Natural, ...] = (0, 32, 64, 128, 256)  # event crops move by one of these, either way
    fp_recordings: Natural = 30  # drawn anew each epoch, all-zero targets
    pseudo_threshold: Fraction = 1.0  # framewise labels of the model itself from this on (diary: 0.7); 1: off
    mixup_site: MixupSite = "none"  # what is mixed: the input, or the output of the backbone's stage 3 or 4
    mixup_alpha: Positive = 0.1
    label_rule: LabelRule = "convex"  # stage 1 mixes soft targets; diary
    weight_decay: NonNegative = 0.0


@dataclass(frozen=True, config=_strict)
class Stage2:
    """All windows of TP and FP recordings, loss on labelled cells only. Its models are the teachers."""

    epochs: Natural = 5
    learning_rate: Positive = 3e-4
    cosine_epochs: Count = 5
    batch_recordings: Count = 32
    accumulate: Count = 1  # optimiser steps once in this many batches
    mixup_site: MixupSite = "none"  # what is mixed: the input, or the output of the backbone's stage 3 or 4
    mixup_alpha: Positive = 0.1
    label_rule: LabelRule = "convex"  # as in stage 3
    focal_gamma: NonNegative = 0.0
    positive_weight_decay: bool = False
    weight_decay: NonNegative = 0.0


@dataclass(frozen=True, config=_strict)
class Stage3:
    """As stage 2, with the teachers' pseudo-labels and mixup. The mission's four knobs stand here."""

    epochs: Natural = 5  # of each cycle; 0 ends the recipe with stage 2, or with stage 1
    learning_rate: Positive = 3e-4
    cosine_epochs: Count = 5
    batch_recordings: Count = 32
    accumulate: Count = 1  # the diary's later runs: 8 recordings, 4 accumulated
    mixup_site: MixupSite = "input"  # what is mixed: the input, or the output of the backbone's stage 3 or 4
    mixup_alpha: Positive = 0.1  # of Beta(alpha, alpha); diary
    label_rule: LabelRule = "diary"  # of a mix: shares of all; positive if either is; shares of positives alone
    focal_gamma: NonNegative = 2.0  # diary
    positive_weight_decay: bool = False
    weight_decay: NonNegative = 0.0
    pseudo_threshold: Fraction = 0.9  # diary; 1 switches pseudo-labels off
    pseudo_rule: Literal["votes", "mean"] = "votes"  # of the teachers; "mean" is the diary's later form, from 0.5 on
    pseudo_weight: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0  # loss weight of a pseudo-positive; later 0.5
    teacher_scheme: TeacherScheme = "own"  # see the package's README.md; "diary" leaks the held-out fold to its student
    teachers: Count = 5  # stage-2 models a student's fold with "own"; the others have as many as their scheme
    votes: Annotated[float, Field(gt=0.0, le=1.0)] = 0.6  # of the teachers; the diary's 3 of 5
    cycles: Annotated[int, Field(ge=1, le=3)] = 1  # label again, train again
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # of averaged weights; 0 takes the last epoch's
    placebo: Natural = 0  # each value draws other random numbers and changes nothing else: what finds it, finds noise


@dataclass(frozen=True, config=_strict)
class Ruler:
    """The fixed grid on which every trial is scored. May be fixed in a space, never searched."""

    window_s: Positive = 8.192
    hop_s: Positive = 4.096
    min_box_s: NonNegative = 1.0  # a box is widened to at least this
    every_epochs: Count = 1  # a trial is scored after every so many epochs of a stage, and after the last


@dataclass(frozen=True, config=_strict)
class Hyperparameters:
    """The knobs of one trial. Validated on construction; frozen and hashable ever after."""

    frontend: Frontend = Field(default_factory=Frontend)
    windows: Windows = Field(default_factory=Windows)
    network: Network = Field(default_factory=Network)
    augment: Augment = Field(default_factory=Augment)
    stage1: Stage1 = Field(default_factory=Stage1)
    stage2: Stage2 = Field(default_factory=Stage2)
    stage3: Stage3 = Field(default_factory=Stage3)
    ruler: Ruler = Field(default_factory=Ruler)

    @model_validator(mode="after")
    def _recipe(self) -> Hyperparameters:
        second, third = self.stage2, self.stage3
        if not self.stage1.epochs + second.epochs + third.epochs:
            raise ValueError("one of stage1.epochs, stage2.epochs and stage3.epochs > 0 must hold, but all are 0")
        if third.epochs and third.pseudo_threshold < 1 and not second.epochs:
            raise ValueError(
                "stage3.pseudo_threshold < 1 needs teachers, which stage 2 trains, but got "
                f"stage3.pseudo_threshold={third.pseudo_threshold:g}, stage2.epochs=0; "
                "give stage2.epochs, or set stage3.pseudo_threshold = 1"
            )
        if third.cycles > 1 and third.pseudo_threshold == 1:
            raise ValueError(
                f"stage3.cycles > 1 labels again, but got stage3.cycles={third.cycles}, stage3.pseudo_threshold=1, "
                "which labels nothing; set stage3.cycles = 1, or a threshold below 1"
            )
        return self

    @property
    def last_stage(self) -> StageName:
        """The last stage with epochs: its models are the recipe's result."""
        if self.stage3.epochs:
            return "stage3"
        return "stage2" if self.stage2.epochs else "stage1"

    @property
    def site(self) -> MixupSite:
        """The mixup site of the last stage."""
        site: MixupSite = getattr(self, self.last_stage).mixup_site
        return site

    @property
    def taught(self) -> bool:
        """Whether teachers label for the recipe's last models."""
        return self.last_stage == "stage3" and self.stage3.pseudo_threshold < 1

    @property
    def leaky(self) -> bool:
        """Whether the teachers were trained on the recordings that their student is scored on."""
        return self.taught and self.stage3.teacher_scheme == "diary"


READS: Final[dict[StageName, tuple[str, ...]]] = {
    "stage1": ("frontend", "windows", "network", "augment", "stage1"),
    "stage2": ("stage2",),  # and all that stage 1 reads, through the stage before it
    "stage3": ("stage3", "ruler"),  # and all that stages 1 and 2 read
}
"""The groups that each stage reads itself; what it reads through its parents is in their names."""

UNREAD: Final = ("stage3.cycles", "stage3.teachers")
"""Knobs that decide which stages are asked for. They act through those stages alone and stand in no stage's name."""

UNSEARCHABLE: Final = ("ruler",)
"""Groups that a space may fix but not search: the ruler does not move."""

_adapter: Final = TypeAdapter(Hyperparameters)


def knobs() -> dict[str, Any]:
    """Every knob as `group.name` with its default."""
    return flatten(Hyperparameters())


def flatten(hyperparameters: Hyperparameters) -> dict[str, Any]:
    """`{"stage3.mixup_site": "input", ...}`, in the order of declaration; tuples become lists."""
    nested = asdict(hyperparameters)
    return {
        f"{group}.{name}": list(value) if isinstance(value, tuple) else value
        for group, members in nested.items()
        for name, value in members.items()
    }


def words(name: str) -> tuple[str, ...]:
    """The words that a knob's type allows; empty for other types."""
    group, _, knob = name.partition(".")
    kind = get_type_hints(type(getattr(Hyperparameters(), group)))[knob]
    return get_args(kind) if get_origin(kind) is Literal else ()


def build(values: dict[str, Any]) -> Hyperparameters:
    """Hyperparameters from `group.name` keys; knobs that are not named keep their defaults.

    Raises:
        pydantic.ValidationError: a knob is unknown, of the wrong type or outside its limits; `loc` says which.
    """
    nested: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        group, _, name = key.partition(".")
        nested.setdefault(group, {})[name] = value
    return _adapter.validate_python(nested)


def leaks(values: Mapping[str, Any]) -> bool:
    """`Hyperparameters.leaky` of a flat configuration, also of one that another version has written."""
    deciding = ("stage3.teacher_scheme", "stage3.epochs", "stage3.pseudo_threshold")
    known = {name: values[name] for name in deciding if name in values}
    return known.get("stage3.teacher_scheme") == "diary" and build(known).leaky


def group_of(hyperparameters: Hyperparameters, stage: StageName) -> dict[str, dict[str, Any]]:
    """What `stage` reads itself, as plain JSON values: the knobs' share of its name."""
    wanted = READS[stage]
    nested = _adapter.dump_python(hyperparameters, mode="json")
    return {
        group.name: {name: v for name, v in nested[group.name].items() if f"{group.name}.{name}" not in UNREAD}
        for group in fields(Hyperparameters)
        if group.name in wanted
    }
