"""A study's folder: the ledger, study.json, what stands beside them."""

from __future__ import annotations

from bad_inputs.case import Bad, Make, fact, folder, gone, raw, swap, text, without

REPORT = "report study"
LEDGER = "study/trials.jsonl"
STUDY = "study/study.json"
CONFIRM = "confirm study --top 1 --replicates 2 --data data"


NO_ARMS = '{"v": 1, "by": null, "replicates": [1], "arms": [], "raised": []}'


def ledger(old: str, new: str) -> Make:
    """The ledger, changed at its first place that says so."""
    return swap(LEDGER, old, new)


CASES = [
    Bad("there is no such study", "report stduy"),
    Bad("a file is given for it", "report space.toml"),
    Bad("a folder is none", "report data"),
    Bad("study.json is missing", REPORT, gone(STUDY)),
    Bad("study.json is empty", REPORT, text(STUDY, "")),
    Bad("study.json is cut short", REPORT, text(STUDY, '{"name": "spa')),
    Bad("study.json is a list", REPORT, text(STUDY, "[]")),
    Bad("study.json is no UTF-8", REPORT, raw(STUDY, b'{"name": "\xff"}')),
    Bad("study.json is a folder", REPORT, folder(STUDY)),
    Bad("study.json nests a thousand times", REPORT, text(STUDY, "[" * 100_000)),
    Bad("study.json does not say how it was searched", CONFIRM, without(STUDY, "search")),
    Bad("study.json does not say the data", CONFIRM, without(STUDY, "data")),
    Bad("study.json was changed by hand", CONFIRM, fact(STUDY, "search", "folds", value=3)),
    Bad("study.json holds a setting that is unknown", CONFIRM, fact(STUDY, "search", "fold", value=3)),
    Bad(
        "a knob of study.json is unknown",
        CONFIRM,
        fact(STUDY, "scientific", value={"stage3.sight": {"choices": ["a", "b"]}}),
    ),
    Bad("the ledger is missing", "export study --to out", gone(LEDGER)),
    Bad("the ledger is empty", "export study --to out", text(LEDGER, "")),
    Bad("the ledger is a folder", REPORT, folder(LEDGER)),
    Bad("a line of the ledger is no JSON", REPORT, ledger('{"v":1', '{"v":1,,')),
    Bad("a line of the ledger is empty", REPORT, ledger("\n", "\n\n")),
    Bad("a line of the ledger is a number", REPORT, ledger('{"v":1', '7\n{"v":1')),
    Bad("a line of the ledger is of another version", REPORT, ledger('"v":1', '"v":2')),
    Bad("a line of the ledger is of no version", REPORT, ledger('"v":1,', "")),
    Bad("an event of the ledger is unknown", REPORT, ledger('"event":"epoch"', '"event":"epcoh"')),
    Bad(
        "a trial of the ledger never started", REPORT, ledger('"event":"epoch","trial":0', '"event":"epoch","trial":9')
    ),
    Bad("an event of the ledger lacks a fact", REPORT, ledger('"step":1,', "")),
    Bad(
        "a trial's number is a word", REPORT, ledger('"event":"started","trial":0', '"event":"started","trial":"none"')
    ),
    Bad("a trial's metrics are a list", REPORT, ledger('"metrics":{"lwlrap":0.5', '"metrics":[],"was":{"lwlrap":0.5')),
    Bad("a trial's config is a list", REPORT, ledger('"config":{', '"config":[],"was":{')),
    Bad("a trial's state is unknown", REPORT, ledger('"state":"COMPLETE"', '"state":"DONE"')),
    Bad("a trial's score is a word", REPORT, ledger('"score":0.45', '"score":"high"')),
    Bad("a trial's name leads out of the folder", REPORT, ledger('"name":"0000-', '"name":"../0000-')),
    Bad("a trial's scores lie out of its folder", REPORT, ledger('"reason":""', '"scores":"../../x.npz","reason":""')),
    Bad("a trial's scores are a number", REPORT, ledger('"reason":""', '"scores":7,"reason":""')),
    Bad("a trial is asked for that is not there", "export study --to out --trial 7"),
    Bad("a trial is asked for that never was one", "reproduce study 7 --data data"),
    Bad("the target of an export exists", "export study --to bundle"),
    Bad("the target of an export is a file", "export study --to space.toml"),
    Bad("other data are given", CONFIRM, swap("data/train_tp.csv", "train000,0,1,0.5", "train000,0,1,0.6")),
    Bad("the data are gone", "confirm study --top 1 --replicates 2 --data nowhere"),
    Bad("nothing was confirmed", "compare study"),
    Bad("a knob is asked about that was not searched", "compare study --by stage1.epochs"),
    Bad("a knob is asked about that is none", "compare study --by stage3.site"),
    Bad("a figure is unknown", "compare study --figure auc"),
    Bad("confirm.json is cut short", "compare study", text("study/confirm.json", '{"v": 1, "by"')),
    Bad("confirm.json names no arms", "compare study", text("study/confirm.json", NO_ARMS)),
    Bad("confirm.json is a folder", "compare study", folder("study/confirm.json")),
    Bad("no arms were listed", "arms study"),
    Bad("the truth's folder is missing", "truth study nowhere --data data"),
    Bad("the truth's folder holds no truth", "truth study model --data data"),
    Bad("--top and --by at once", "confirm study --top 1 --by stage3.mixup_site --replicates 2 --data data"),
    Bad("neither --top nor --by", "confirm study --replicates 2 --data data"),
    Bad("no replicates", "confirm study --top 1 --replicates 0 --data data"),
    Bad("--by a knob that is not searched", "confirm study --by stage1.epochs --replicates 2 --data data"),
    Bad("--by a knob without choices", "confirm study --by stage3.focal_gamma --replicates 2 --data data"),
    Bad("more GPUs than there are, to confirm", f"{CONFIRM} --set resources.gpus=1.0"),
    Bad("the question is changed, to confirm", f"{CONFIRM} --set search.folds=3"),
]
