"""A study's folder alone is enough to score its trials again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import Sound, write_folder

from rfcx_model.errors import InputError
from rfcx_model.metrics import OutOfFold, measure
from rfcx_model.recordings import load
from study.scored import LISTED, out_of_fold, read_ruler, write_ruler
from study.trials import Trial


def trial(scores: str | None) -> Trial:
    return Trial(3, "search", 0, 1, {}, {}, 1, 0.0, scores=scores)


def test_what_the_data_list_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_folder(tmp_path / "data", Sound(sites=4))
    recordings = load(tmp_path / "data")
    write_ruler(tmp_path, recordings)
    ruler = read_ruler(tmp_path)
    assert ruler.ids.tolist() == recordings.train["recording_id"].tolist()
    assert ruler.species.tolist() == list(recordings.species)
    for name in ("recording", "species", "template", "positive"):
        assert getattr(ruler.listed, name).tolist() == recordings.boxes[name].tolist()
    assert len(set(ruler.groups)) == recordings.train["site"].nunique()
    assert [path.name for path in tmp_path.glob("*.npz*")] == [LISTED]


def test_without_sites_each_recording_is_a_group_of_its_own(tmp_path: Path) -> None:
    write_folder(tmp_path / "data")
    write_ruler(tmp_path, load(tmp_path / "data"))
    assert read_ruler(tmp_path).groups.tolist() == list(range(12))


def test_a_trial_is_scored_again_from_its_file(tmp_path: Path) -> None:
    write_folder(tmp_path / "data")
    write_ruler(tmp_path, load(tmp_path / "data"))
    ruler = read_ruler(tmp_path)
    generator = np.random.default_rng(0)
    said = OutOfFold(
        generator.uniform(size=(12, 3)).astype(np.float32),
        generator.uniform(size=len(ruler.listed.recording)).astype(np.float32),
        np.arange(12) % 3,
    )
    np.savez_compressed(tmp_path / "scores.npz", **vars(said))
    again = out_of_fold(tmp_path, trial("scores.npz"))
    assert again is not None
    assert measure(ruler.listed, again) == pytest.approx(measure(ruler.listed, said), nan_ok=True, abs=0)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off"])
def test_scores_that_are_not_there_whole_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "scores.npz").write_bytes(content)
    assert out_of_fold(tmp_path, trial("scores.npz")) is None
    assert out_of_fold(tmp_path, trial(None)) is None


def test_a_study_without_the_file_or_with_a_damaged_one_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"listed\.npz: it is needed .* Call `run` again"):
        read_ruler(tmp_path)
    (tmp_path / LISTED).write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"listed\.npz: must hold whole arrays, but does not.* writes it anew"):
        read_ruler(tmp_path)
