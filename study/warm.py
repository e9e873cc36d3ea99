"""What a worker of a local Ray begins to import as it starts, so that a trial need not wait for it."""

import os

from study.meanwhile import SLOW, import_meanwhile
from study.ray_environment import DESK

if DESK not in os.environ:
    import_meanwhile(SLOW)
