"""Long waits are told, short ones are not."""

from __future__ import annotations

from pathlib import Path

from study.silence import LONG_S, Silence


def test_a_long_wait_is_told_once_for_each_so_long_and_news_ends_it() -> None:
    now, said = [0.0], list[str]()
    silence = Silence(Path("studies/s"), said.append, lambda: now[0])
    for at_s, told in ((LONG_S - 1, 0), (LONG_S, 1), (2 * LONG_S - 1, 1), (2 * LONG_S, 2)):
        now[0] = at_s
        silence.look()
        assert len(said) == told, at_s
    silence.end()
    now[0] += LONG_S - 1
    silence.look()
    assert len(said) == 2
    assert "no trial has told of an epoch for 10 minutes" in said[0]
    assert "studies/s does not answer" in said[0]
