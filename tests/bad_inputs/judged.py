"""Audits, submissions and truths."""

from __future__ import annotations

from bad_inputs.case import Bad, Make, cut, fact, folder, gone, more, raw, swap, text

AUDITED = "audited audit"
SCORE = "score submission.csv truth.csv"
DESIGN = "audit/audit.json"


def sub(old: str, new: str) -> Make:
    """submission.csv, changed."""
    return swap("submission.csv", old, new)


CASES = [
    Bad("an audit of no windows", "audit model --data data --to out --windows 0"),
    Bad("an audit of fewer windows than strata", "audit model --data data --to out --windows 3"),
    Bad("an audit of a species that the model has not", "audit model --data data --to out --windows 12 --species 9"),
    Bad("an audit at a threshold above 1", "audit model --data data --to out --windows 18 --threshold 2"),
    Bad("an audit where one is", "audit model --data data --to audit --windows 18"),
    Bad("there is no such audit", "audited adit"),
    Bad("no window was judged", AUDITED),
    Bad("audit.json is missing", AUDITED, gone(DESIGN)),
    Bad("audit.json is cut short", AUDITED, text(DESIGN, '{"format": 1, "model": "a mod')),
    Bad("audit.json is of another format", AUDITED, fact(DESIGN, "format", value=7)),
    Bad(
        "audit.json draws a window that is none",
        AUDITED,
        fact(DESIGN, "species", 0, "drawn", 0, "window", value=10_000),
    ),
    Bad("windows.npz is missing", AUDITED, gone("audit/windows.npz")),
    Bad("windows.npz is cut short", AUDITED, cut("audit/windows.npz", 0.5)),
    Bad("a label track is missing", AUDITED, gone("audit/s0.txt")),
    Bad("a label track is empty", AUDITED, text("audit/s0.txt", "")),
    Bad("an answer is another letter", AUDITED, swap("audit/s0.txt", "?", "x")),
    Bad("a window is answered twice", AUDITED, more("audit/s0.txt", "0.0\t1.0\t1 y\n")),
    Bad("a label track is no UTF-8", AUDITED, raw("audit/s0.txt", b"\xff\xfe\xff")),
    Bad(
        "a label track is another program's",
        AUDITED,
        text("audit/s0.txt", "Selection\tView\tChannel\n1\tSpectrogram\t1\n"),
    ),
    Bad("there is no such submission", "score submision.csv truth.csv"),
    Bad("there is no such truth", "score submission.csv turth.csv"),
    Bad("a submission is empty", SCORE, text("submission.csv", "")),
    Bad("a submission is a folder", SCORE, folder("submission.csv")),
    Bad("a submission is a picture", SCORE, raw("submission.csv", b"\x89PNG\r\n\x1a\n" + bytes(99))),
    Bad("a submission has no ids", SCORE, sub("recording_id", "id")),
    Bad("a submission lacks a species", SCORE, sub(",s2", ",s9")),
    Bad("a submission lacks a recording", SCORE, sub("test001", "test901")),
    Bad("a submission has a recording twice", SCORE, more("submission.csv", "test000,0.1,0.2,0.3\n")),
    Bad("a score is a word", SCORE, sub("0.1", "high")),
    Bad("a score is not a number", SCORE, sub("0.1", "nan")),
    Bad("a score is missing", SCORE, sub("0.1", "")),
    Bad("a score is infinite", SCORE, sub("0.1", "inf")),
    Bad("a truth is empty", SCORE, text("truth.csv", "")),
    Bad("a truth holds no species", SCORE, text("truth.csv", "recording_id,s0,s1,s2\ntest000,0,0,0\n")),
    Bad("a truth holds a half", SCORE, swap("truth.csv", "1,0,0", "0.5,0,0")),
    Bad("a submission is held against itself", f"{SCORE} --beside submission.csv --beside submission.csv"),
    Bad("a submission is held against none", f"{SCORE} --beside other.csv"),
]
