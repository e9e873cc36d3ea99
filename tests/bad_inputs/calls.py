"""Command lines."""

from __future__ import annotations

from bad_inputs.case import Bad

RUN = "run space.toml --data data"

CASES = [
    Bad("a verb is misspelt", "rnu space.toml"),
    Bad("a verb lacks its argument", "run"),
    Bad("a verb lacks its data", "run space.toml"),
    Bad("an argument too many", f"{RUN} more"),
    Bad("an option is misspelt", f"{RUN} --tirals 3"),
    Bad("an option lacks its value", f"{RUN} --trials"),
    Bad("a number is a word", f"{RUN} --trials many"),
    Bad("a number has a fraction", f"{RUN} --trials 1.5"),
    Bad("no trials", f"{RUN} --trials 0"),
    Bad("hours below 0", f"{RUN} --hours -1"),
    Bad("hours are not a number", f"{RUN} --hours nan"),
    Bad("hours are infinite", f"{RUN} --hours inf"),
    Bad("studies are to be kept in a file", f"{RUN} --out space.toml/studies"),
    Bad("studies are to be kept at a storage address", f"{RUN} --out s3://bucket/studies"),
    Bad("stages are to be kept at a storage address", f"{RUN} --store gs://bucket/stages"),
    Bad("a cache is a file", "prepare data --cache space.toml"),
    Bad("a cluster's address is Ray's client's", f"{RUN} --address ray://head:10001"),
    Bad("a cluster's address has no port", f"{RUN} --address head.example:port"),
    Bad("nobody answers at a cluster's address", f"{RUN} --address 127.0.0.1:1"),
    Bad("a GPU is asked for where there is none", f"{RUN} --set resources.gpus=1.0"),
    Bad("a forest of no recordings", "synthesize out --recordings 0"),
    Bad("a forest of recordings too short", "synthesize out --duration-s 1"),
    Bad("a forest where one is", "synthesize data --recordings 10"),
    Bad("a forest with a negative seed", "synthesize out --seed -1"),
    Bad("a demonstration where something is", "demo --out data"),
    Bad("a trial's number is a word", "reproduce study seven --data data"),
    Bad("a margin below 0", "compare study --margin -0.1"),
    Bad("a folder's name is a file's", "check space.toml"),
    Bad("data lie in a file", "plan space.toml --data space.toml"),
]
