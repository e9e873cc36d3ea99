"""Space files, and what `--set` changes in them."""

from __future__ import annotations

from bad_inputs.case import Bad, Make, both, folder, gone, more, raw, swap, text

PLAN = "plan space.toml --data data"
SITE = '"stage3.mixup_site" = { choices = ["none", "input"] }'
GAMMA = '"stage3.focal_gamma" = { low = 0.0, high = 4.0 }'
ARMS = '[search]\nsampler = "grid"\nscheduler = "none"\nfolds = 2\n'


def knob(line: str) -> Make:
    """Another line in place of the focal gamma's."""
    return swap("space.toml", GAMMA, line)


def fixed(line: str) -> Make:
    """A line more in [fixed], which comes last."""
    return more("space.toml", line + "\n")


def search(line: str) -> Make:
    """Another first line of [search]."""
    return swap("space.toml", 'sampler = "random"', line)


def arms(*tables: str) -> Make:
    """A space that lists recipes."""
    return text("space.toml", ARMS + "\n".join(f"[[arm]]\n{one}" for one in tables))


CASES = [
    Bad("there is no such file", "plan spaec.toml --data data"),
    Bad("a folder is given for it", "plan folder.toml --data data", folder("folder.toml")),
    Bad("it is empty", PLAN, text("space.toml", "")),
    Bad("values are listed without saying choices", PLAN, knob('"stage3.focal_gamma" = [0.0, 4.0]')),
    Bad("three names are wrong", PLAN, text("space.toml", '[fixed]\na = 1\n"stage3.b" = 2\n[nuisance]\nc.d = 3\n')),
    Bad("it is not TOML: a bracket is open", PLAN, text("space.toml", "[scientific\n")),
    Bad("it is not TOML: a value is missing", PLAN, text("space.toml", '[fixed]\n"stage3.epochs" =\n')),
    Bad("it is YAML", PLAN, text("space.toml", "scientific:\n  stage3.mixup_site: [none, input]\n")),
    Bad("it is not UTF-8", PLAN, raw("space.toml", b'[fixed]\n"stage3.epochs" = 1 # \xff\n')),
    Bad("it holds a NUL", PLAN, raw("space.toml", b'[fixed]\n"stage3.epochs" = \x001\n')),
    Bad("a table stands twice", PLAN, more("space.toml", "[search]\nfolds = 3\n")),
    Bad("a section is unknown", PLAN, more("space.toml", "[serach]\nfolds = 3\n")),
    Bad("a section has nothing near it", PLAN, more("space.toml", "[x]\na = 1\n")),
    Bad("a section is a value", PLAN, swap("space.toml", "[scientific]\n", "search = 3\n[scientific]\n")),
    Bad(
        "a value stands outside of any section", PLAN, swap("space.toml", "[scientific]\n", "folds = 3\n[scientific]\n")
    ),
    Bad("a knob is misspelt", PLAN, knob('"stage3.focal_gama" = { low = 0.0, high = 4.0 }')),
    Bad("a knob is of another stage", PLAN, knob('"stage1.focal_gamma" = { low = 0.0, high = 4.0 }')),
    Bad("a knob has no group", PLAN, knob("focal_gamma = { low = 0.0, high = 4.0 }")),
    Bad("a group is unknown", PLAN, knob('"stage4.focal_gamma" = { low = 0.0, high = 4.0 }')),
    Bad("a knob is nothing known", PLAN, knob('"stage3.zzzz" = { low = 0.0, high = 4.0 }')),
    Bad("low is above high", PLAN, knob('"stage3.focal_gamma" = { low = 4.0, high = 0.0 }')),
    Bad("low is high", PLAN, knob('"stage3.focal_gamma" = { low = 1.0, high = 1.0 }')),
    Bad("low is missing", PLAN, knob('"stage3.focal_gamma" = { high = 4.0 }')),
    Bad("high is missing", PLAN, knob('"stage3.focal_gamma" = { low = 4.0 }')),
    Bad("the table is empty", PLAN, knob('"stage3.focal_gamma" = {}')),
    Bad("a key of a domain is unknown", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, hihg = 4.0 }')),
    Bad("low is a string", PLAN, knob('"stage3.focal_gamma" = { low = "0", high = 4.0 }')),
    Bad("low is true", PLAN, knob('"stage3.focal_gamma" = { low = true, high = 4.0 }')),
    Bad("high is infinite", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, high = inf }')),
    Bad("high is not a number", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, high = nan }')),
    Bad("low is below the knob's limit", PLAN, knob('"stage3.focal_gamma" = { low = -1.0, high = 4.0 }')),
    Bad("high is above the knob's limit", PLAN, knob('"stage3.pseudo_threshold" = { low = 0.5, high = 1.5 }')),
    Bad("a logarithm begins at 0", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, log = true }')),
    Bad("log is a word", PLAN, knob('"stage3.focal_gamma" = { low = 0.1, high = 4.0, log = "yes" }')),
    Bad("log and step", PLAN, knob('"stage3.focal_gamma" = { low = 0.1, high = 4.1, log = true, step = 1.0 }')),
    Bad("the step does not fit", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, step = 3.0 }')),
    Bad("the step is 0", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, step = 0.0 }')),
    Bad("the step is negative", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, step = -1.0 }')),
    Bad("the step of a whole number is none", PLAN, knob('"stage3.epochs" = { low = 1, high = 4, step = 0.5 }')),
    Bad("a whole number has a fraction", PLAN, knob('"stage3.epochs" = { low = 1.5, high = 4 }')),
    Bad("choices and low", PLAN, knob('"stage3.focal_gamma" = { choices = [1.0], low = 0.0 }')),
    Bad("no choices", PLAN, knob('"stage3.focal_gamma" = { choices = [] }')),
    Bad("choices are one value", PLAN, knob('"stage3.focal_gamma" = { choices = 1.0 }')),
    Bad("a choice stands twice", PLAN, knob('"stage3.focal_gamma" = { choices = [1.0, 1.0] }')),
    Bad("a choice is of another type", PLAN, knob('"stage3.focal_gamma" = { choices = [1.0, "two"] }')),
    Bad("a choice is not one of the words", PLAN, swap("space.toml", '["none", "input"]', '["none", "imput"]')),
    Bad("a word has a range", PLAN, swap("space.toml", SITE, '"stage3.mixup_site" = { low = 0, high = 1 }')),
    Bad(
        "an array is searched",
        PLAN,
        both(
            swap("space.toml", '"stage1.jitter_frames" = [0, 8]', ""),
            knob('"stage1.jitter_frames" = { choices = [[0, 8]] }'),
        ),
    ),
    Bad(
        "the ruler is searched",
        PLAN,
        both(swap("space.toml", '"ruler.window_s" = 1.024', ""), knob('"ruler.window_s" = { choices = [1.0, 2.0] }')),
    ),
    Bad("a knob is searched and fixed", PLAN, fixed('"stage3.focal_gamma" = 1.0')),
    Bad("a knob is searched twice", PLAN, swap("space.toml", "[nuisance]\n", f"[nuisance]\n{SITE}\n")),
    Bad("a fixed value is of another type", PLAN, fixed('"stage3.epochs" = "five"')),
    Bad("a fixed value is true", PLAN, fixed('"stage3.epochs" = true')),
    Bad("a fixed value is beyond its limit", PLAN, fixed('"stage3.learning_rate" = -0.1')),
    Bad("a fixed value is a date", PLAN, fixed('"stage3.epochs" = 2026-11-27')),
    Bad("a fixed knob has a domain", PLAN, fixed('"stage3.learning_rate" = { low = 0.1, high = 0.2 }')),
    Bad("a backbone that timm has not", PLAN, swap("space.toml", '"test_resnet"', '"resnet19"')),
    Bad(
        "when asks about a knob that is not searched",
        PLAN,
        knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, when = { "stage1.epochs" = [7] } }'),
    ),
    Bad(
        "when asks about nothing known",
        PLAN,
        knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, when = { "stage3.site" = ["input"] } }'),
    ),
    Bad(
        "when asks for a value that it cannot have",
        PLAN,
        knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, when = { "stage3.mixup_site" = ["stage4"] } }'),
    ),
    Bad(
        "when asks about itself",
        PLAN,
        knob('"stage3.focal_gamma" = { choices = [0.0, 4.0], when = { "stage3.focal_gamma" = [0.0] } }'),
    ),
    Bad("when is no table", PLAN, knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, when = "input" }')),
    Bad(
        "when asks for no value",
        PLAN,
        knob('"stage3.focal_gamma" = { low = 0.0, high = 4.0, when = { "stage3.mixup_site" = [] } }'),
    ),
    Bad("an alpha where there is no mixup", PLAN, knob('"stage3.mixup_alpha" = { low = 0.1, high = 1.0 }')),
    Bad("a baseline that is not in the domain", PLAN, more("space.toml", '[baseline]\n"stage3.focal_gamma" = 9.0\n')),
    Bad("a baseline of a fixed knob", PLAN, more("space.toml", '[baseline]\n"stage3.epochs" = 2\n')),
    Bad("a baseline of an unknown knob", PLAN, more("space.toml", '[baseline]\n"stage3.gamma" = 2\n')),
    Bad(
        "a default that is not in the domain, and no baseline",
        PLAN,
        knob('"stage3.focal_gamma" = { low = 0.1, high = 0.2 }'),
    ),
    Bad("a try that is not in the domain", PLAN, more("space.toml", '[[try]]\n"stage3.focal_gamma" = 9.0\n')),
    Bad("a try of a fixed knob", PLAN, more("space.toml", '[[try]]\n"stage1.epochs" = 2\n')),
    Bad("try is one table", PLAN, more("space.toml", '[try]\n"stage3.focal_gamma" = 1.0\n')),
    Bad("an objective's rule is unknown", PLAN, more("space.toml", '[objective]\nrule = "best"\n')),
    Bad("an objective's weights are 0", PLAN, more("space.toml", "[objective]\nlwlrap = 0.0\nprecision = 0.0\n")),
    Bad("an objective's weight is negative", PLAN, more("space.toml", "[objective]\nlwlrap = -1.0\n")),
    Bad(
        "an objective of the diary's ruler",
        PLAN,
        more("space.toml", '[objective]\nprecision_form = "diary_precision"\n'),
    ),
    Bad("an objective's setting is misspelt", PLAN, more("space.toml", "[objective]\nlwrlap = 1.0\n")),
    Bad("a floor above 1", PLAN, more("space.toml", '[objective]\nrule = "floor"\nfloor = 1.5\n')),
    Bad("a sampler is unknown", PLAN, search('sampler = "cmaes"')),
    Bad("a scheduler is unknown", PLAN, swap("space.toml", 'scheduler = "none"', 'scheduler = "pbt"')),
    Bad("one fold", PLAN, swap("space.toml", "folds = 2", "folds = 1")),
    Bad("more folds than recordings", PLAN, swap("space.toml", "folds = 2", "folds = 20")),
    Bad("folds are a string", PLAN, swap("space.toml", "folds = 2", 'folds = "2"')),
    Bad("a negative seed", PLAN, search('sampler = "random"\nseed = -1')),
    Bad("a lockbox of most recordings", PLAN, search('sampler = "random"\nlockbox = 0.9')),
    Bad("replicates of a search", PLAN, search('sampler = "random"\nreplicates = 3')),
    Bad("a grid of a continuous knob", PLAN, search('sampler = "grid"')),
    Bad(
        "grace beyond the last epoch", PLAN, swap("space.toml", 'scheduler = "none"', 'scheduler = "asha"\ngrace = 50')
    ),
    Bad("a factor of 1", PLAN, search('sampler = "random"\nfactor = 1')),
    Bad("no trials", PLAN, swap("space.toml", "trials = 3", "trials = 0")),
    Bad("half a trial", PLAN, swap("space.toml", "trials = 3", "trials = 2.5")),
    Bad("hours below 0", PLAN, swap("space.toml", "trials = 3", "hours = -1.0")),
    Bad("no CPU a trial", PLAN, more("space.toml", "[resources]\ncpus = 0.0\n")),
    Bad("GPUs below 0", PLAN, more("space.toml", "[resources]\ngpus = -1.0\n")),
    Bad("more CPUs than there are", "run space.toml --data data", more("space.toml", "[resources]\ncpus = 4096.0\n")),
    Bad("arms and a searched knob", PLAN, more("space.toml", '[[arm]]\nregime = "a"\n')),
    Bad("an arm without a regime", PLAN, arms('stage3 = { mixup_site = "input" }')),
    Bad("an arm's knob is misspelt", PLAN, arms('regime = "a"\nstage3 = { mixup_sight = "input" }')),
    Bad(
        "two arms are alike",
        PLAN,
        arms('regime = "a"\nstage3 = { epochs = 1 }', 'regime = "b"\nstage3 = { epochs = 1 }'),
    ),
    Bad(
        "two arms of one name",
        PLAN,
        arms('regime = "a"\nstage3 = { epochs = 1 }', 'regime = "a"\nstage3 = { epochs = 2 }'),
    ),
    Bad(
        "an arm publishes what nobody shows",
        PLAN,
        arms('regime = "a"\nstage3 = { epochs = 1 }\npublished = { auc = 0.9 }'),
    ),
    Bad("an arm is pruned", PLAN, both(arms('regime = "a"'), swap("space.toml", '"none"', '"asha"'))),
    Bad("nested teachers of two folds", PLAN, fixed('"stage3.teacher_scheme" = "nested"')),
    Bad("leaking teachers in a search", PLAN, fixed('"stage3.teacher_scheme" = "diary"')),
    Bad(
        "a threshold without teachers",
        PLAN,
        both(fixed('"stage2.epochs" = 0'), fixed('"stage3.pseudo_threshold" = 0.5')),
    ),
    Bad(
        "windows longer than the ruler's",
        PLAN,
        swap("space.toml", '"windows.overlap_frames" = 8', '"windows.overlap_frames" = 99'),
    ),
    Bad(
        "a band above half the rate",
        PLAN,
        swap("space.toml", '"frontend.f_max_hz" = 4000.0', '"frontend.f_max_hz" = 9000.0'),
    ),
    Bad("--set without a value", f"{PLAN} --set stage1.epochs"),
    Bad("--set of an unknown knob", f"{PLAN} --set stage1.epoch=2"),
    Bad("--set of a searched knob", f"{PLAN} --set stage3.focal_gamma=2.0"),
    Bad("--set of another type", f"{PLAN} --set stage1.epochs=many"),
    Bad("--set of an unknown setting", f"{PLAN} --set search.fold=3"),
    Bad("--set of a domain", PLAN + ' --set "stage1.epochs={ low = 1, high = 2 }"'),
    Bad("the space was deleted", PLAN, gone("space.toml")),
]
