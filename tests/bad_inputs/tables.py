"""The competition's tables and folders."""

from __future__ import annotations

from bad_inputs.case import Bad, Make, both, folder, gone, loop, more, raw, swap, text

CHECK = "check data"
ROW = "train000,0,1,0.5,300.0,1.5,700.0"
HEAD = "recording_id,species_id,songtype_id,t_min,f_min,t_max,f_max"


def tp(row: str) -> Make:
    """Another first row of train_tp.csv."""
    return swap("data/train_tp.csv", ROW, row)


def sample(old: str, new: str) -> Make:
    """sample_submission.csv, changed."""
    return swap("data/sample_submission.csv", old, new)


def sites(*rows: str) -> Make:
    """recordings.csv of these rows."""
    return text("data/recordings.csv", "\n".join(rows) + "\n")


ALL = [f"train{k:03d},site{k % 3}" for k in range(6)]

CASES = [
    Bad("there is no such folder", "check dtaa"),
    Bad("a file is given for it", "check data/train_tp.csv"),
    Bad("the folder is empty", "check empty", folder("empty")),
    Bad("train_tp.csv is missing", CHECK, gone("data/train_tp.csv")),
    Bad("train_fp.csv is missing", CHECK, gone("data/train_fp.csv")),
    Bad("sample_submission.csv is missing", CHECK, gone("data/sample_submission.csv")),
    Bad("train/ is missing", CHECK, gone("data/train")),
    Bad("test/ is missing", CHECK, gone("data/test")),
    Bad("train_tp.csv is a folder", CHECK, folder("data/train_tp.csv")),
    Bad("train_tp.csv is empty", CHECK, text("data/train_tp.csv", "")),
    Bad("train_tp.csv has a header only", CHECK, text("data/train_tp.csv", HEAD + "\n")),
    Bad("train_tp.csv is a picture", CHECK, raw("data/train_tp.csv", b"\x89PNG\r\n\x1a\n" + bytes(64))),
    Bad("train_tp.csv is UTF-16", CHECK, raw("data/train_tp.csv", f"{HEAD}\n{ROW}\n".encode("utf-16"))),
    Bad("train_tp.csv holds a NUL", CHECK, raw("data/train_tp.csv", f"{HEAD}\n{ROW}\x00\n".encode())),
    Bad(
        "train_tp.csv is separated by semicolons",
        CHECK,
        text("data/train_tp.csv", f"{HEAD}\n{ROW}\n".replace(",", ";")),
    ),
    Bad("a column is missing", CHECK, swap("data/train_tp.csv", ",t_max", ",tmax")),
    Bad("a column stands twice", CHECK, swap("data/train_tp.csv", "songtype_id", "t_min")),
    Bad("a row is short", CHECK, tp("train000,0,1,0.5,300.0,1.5")),
    Bad("a row is long", CHECK, tp(ROW + ",9")),
    Bad("a row stands twice", CHECK, more("data/train_tp.csv", ROW + "\n")),
    Bad("a time is a word", CHECK, tp("train000,0,1,half,300.0,1.5,700.0")),
    Bad("a time is missing", CHECK, tp("train000,0,1,,300.0,1.5,700.0")),
    Bad("a time is not a number", CHECK, tp("train000,0,1,nan,300.0,1.5,700.0")),
    Bad("a time is infinite", CHECK, tp("train000,0,1,0.5,300.0,inf,700.0")),
    Bad("a time has a comma for its point", CHECK, tp('train000,0,1,"0,5",300.0,1.5,700.0')),
    Bad("a time is before the recording", CHECK, tp("train000,0,1,-0.5,300.0,1.5,700.0")),
    Bad("a time is beyond the recording", CHECK, tp("train000,0,1,0.5,300.0,61.5,700.0")),
    Bad("a box ends before it begins", CHECK, tp("train000,0,1,12.1,300.0,11.8,700.0")),
    Bad("a box has no length", CHECK, tp("train000,0,1,0.5,300.0,0.5,700.0")),
    Bad("a band is upside down", CHECK, tp("train000,0,1,0.5,700.0,1.5,300.0")),
    Bad("a band is below 0", CHECK, tp("train000,0,1,0.5,-300.0,1.5,700.0")),
    Bad("a species has no column", CHECK, tp("train000,7,1,0.5,300.0,1.5,700.0")),
    Bad("a species is negative", CHECK, tp("train000,-1,1,0.5,300.0,1.5,700.0")),
    Bad("a species has a fraction", CHECK, tp("train000,0.5,1,0.5,300.0,1.5,700.0")),
    Bad("a species is a name", CHECK, tp("train000,coqui,1,0.5,300.0,1.5,700.0")),
    Bad("a recording has no file", CHECK, tp("train900,0,1,0.5,300.0,1.5,700.0")),
    Bad("a recording has no id", CHECK, tp(",0,1,0.5,300.0,1.5,700.0")),
    Bad("an id leads out of the folder", CHECK, tp("../train/train000,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id is an absolute path", CHECK, tp("/etc/passwd,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id is a folder and a name", CHECK, tp("sub/train000,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id has a backslash", CHECK, tp("..\\train000,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id of 300 characters", CHECK, tp("x" * 300 + ",0,1,0.5,300.0,1.5,700.0")),
    Bad("an id is an emoji", CHECK, tp("🐸,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id is a formula", CHECK, tp("=cmd|'/c calc'!A0,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id is markup", CHECK, tp("<script>alert(1)</script>,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id has an escape sequence", CHECK, tp("\x1b[2Jtrain,0,1,0.5,300.0,1.5,700.0")),
    Bad("an id holds a NUL", CHECK, tp("train\x00000,0,1,0.5,300.0,1.5,700.0")),
    Bad("a time has an underscore", CHECK, tp("train000,0,1,0_5,300.0,1.5,700.0")),
    Bad("a songtype is missing", CHECK, tp("train000,0,,0.5,300.0,1.5,700.0")),
    Bad("a songtype is a word", CHECK, tp("train000,0,call,0.5,300.0,1.5,700.0")),
    Bad("a species is beyond counting", CHECK, tp("train000,1e300,1,0.5,300.0,1.5,700.0")),
    Bad("a quotation mark is never closed", CHECK, tp('"' + ROW)),
    Bad("a value is longer than a book", CHECK, tp("x" * 200_000 + ",0,1,0.5,300.0,1.5,700.0")),
    Bad("a table is a link to itself", CHECK, loop("data/train_tp.csv")),
    Bad("train_fp.csv has a header only", CHECK, text("data/train_fp.csv", HEAD + "\n")),
    Bad("a false positive has no length", CHECK, more("data/train_fp.csv", "train000,0,1,0.5,300.0,0.5,700.0\n")),
    Bad("sample_submission.csv is empty", CHECK, text("data/sample_submission.csv", "")),
    Bad("sample_submission.csv has no rows", CHECK, text("data/sample_submission.csv", "recording_id,s0,s1\n")),
    Bad("a submission's row is short", CHECK, sample("test001,0.5,0.5,0.5", "test001,0.5")),
    Bad("recordings.csv is no UTF-8", CHECK, raw("data/recordings.csv", b"recording_id,site\ntrain000,\xff\n")),
    Bad("a submission's first column is another", CHECK, sample("recording_id,s0", "id,s0")),
    Bad("a submission has no species", CHECK, text("data/sample_submission.csv", "recording_id\ntest000\n")),
    Bad("a submission has one species", CHECK, text("data/sample_submission.csv", "recording_id,s0\ntest000,0\n")),
    Bad("a species' column is named otherwise", CHECK, sample("s1", "species1")),
    Bad("a species' column begins with 0", CHECK, sample("s1", "s01")),
    Bad("a species' column stands twice", CHECK, sample("s1", "s0")),
    Bad("a test recording stands twice", CHECK, more("data/sample_submission.csv", "test000,0.1,0.2,0.3\n")),
    Bad("a test recording has no file", CHECK, sample("test001", "test901")),
    Bad("a test recording leads out of the folder", CHECK, sample("test001", "../train/train000")),
    Bad("a site is missing", CHECK, sites("recording_id,site", *ALL[:-1])),
    Bad("a site is empty", CHECK, sites("recording_id,site", *ALL[:-1], "train005,")),
    Bad("a recording has two sites", CHECK, sites("recording_id,site", *ALL, "train000,site9")),
    Bad("recordings.csv has no sites", CHECK, sites("recording_id,place", *ALL)),
    Bad(
        "all recordings are of one site",
        "plan space.toml --data data",
        sites("recording_id,site", *(f"train{k:03d},here" for k in range(6))),
    ),
    Bad("several things are wrong at once", CHECK, both(tp("train900,7,1,0.5,300.0,0.4,700.0"), gone("data/test"))),
]
