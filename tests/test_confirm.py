"""A search, its confirmation killed in the middle and carried on, and the export of what was confirmed."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from place import FIXED, PATIENCE_S, Place, a_place, sweep

from study.events import read_events

SPACE = """
[scientific]
"stage3.mixup_site" = { choices = ["none", "input"] }
[nuisance]
"stage3.focal_gamma" = { low = 0.0, high = 4.0 }
FIXED
[baseline]
"stage3.mixup_site" = "input"
"stage3.focal_gamma" = 2.0
[search]
sampler = "random"
scheduler = "none"
folds = 2
lockbox = 0.25
[budget]
trials = 4
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with a_place(tmp_path) as made:
        (made.folder / "little.toml").write_text(SPACE.replace("FIXED", FIXED.replace("EPOCHS", "2")))
        yield made


def confirm(place: Place, *words: str) -> tuple[int, str, str]:
    return place.end(place.call("confirm", str(place.study), *words))


@pytest.mark.slow
def test_a_search_is_confirmed_on_fresh_replicates_though_the_driver_is_killed(place: Place) -> None:
    code, _, err = place.run()
    assert code == 0, err
    searched = place.trials()

    process = place.call("confirm", str(place.study), "--by", "stage3.mixup_site", "--fill", "--replicates", "2")
    try:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and b'"origin":"confirm"' not in place.ledger.read_bytes():
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()
        sweep(process)
    before = place.ledger.read_bytes()
    assert b'"origin":"confirm"' in before
    code, _, err = confirm(place, "--by", "stage3.mixup_site", "--fill", "--replicates", "2")
    assert code == 0, err
    assert place.ledger.read_bytes().startswith(before[: before.rfind(b"\n") + 1])

    trials = place.trials()
    assert [(one.number, one.score) for one in trials[: len(searched)]] == [(one.number, one.score) for one in searched]
    by_site = [one.config["stage3.mixup_site"] for one in trials if one.origin != "confirm"]
    assert by_site.count("none") == by_site.count("input")
    repeats = [one for one in trials if one.origin == "confirm"]
    declared = json.loads((place.study / "confirm.json").read_text())
    wanted = [(replicate, json.dumps(arm["config"])) for replicate in (1, 2) for arm in declared["arms"]]
    ran = [(one.replicate, json.dumps(dict(one.config))) for one in repeats if one.state == "COMPLETE"]
    assert sorted(ran) == sorted(wanted)
    assert len({one.seed for one in trials}) == 3
    for one in repeats:
        assert 0 <= one.metrics["lockbox_lwlrap"] <= 1
        assert (place.study / "trials" / one.name / "lockbox.npz").exists()
    steps = [(e["trial"], e["step"]) for e in read_events(place.ledger) if e["event"] == "epoch"]
    assert len(set(steps)) == len(steps)

    code, _, err = confirm(place, "--by", "stage3.mixup_site", "--replicates", "1")
    assert code == 2
    assert "2 replicates were declared, so --replicates must be 2 or more, but got 1" in err
    code, _, err = place.run("--trials", str(len(by_site) + 1))
    assert code == 0, err
    assert [one.origin for one in place.trials()].count("confirm") == len(repeats)
    code, _, err = place.run("--trials", "1")  # fewer than there are
    assert code == 0, err
    assert all(int(done) <= int(total) for done, total in re.findall(r"(\d+)/(\d+) epochs", err))

    code, _, err = place.end(place.call("export", str(place.study), "--to", "bundle"))
    assert code == 0, err
    assert "Confirmed: run again on 2 fresh replicates: score " in (place.folder / "bundle" / "card.md").read_text()
    assert place.left_behind() == ([], [])
