"""One recording of a made-up forest: the calls of everyone present, over what else is heard there, as 16-bit FLAC.

The last gain makes every recording's root mean square a draw that knows nothing of its animals, so neither loudness
nor the size of the file tells who is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import scipy.fft
import soundfile
from numpy.typing import NDArray

from rfcx_model.census import Utterance, Visit, draw_utterances
from rfcx_model.forest import Forest, generator, world_of
from rfcx_model.soundscape import Samples, ambient_power, background, carry, draw_weather
from rfcx_model.voices import Call, CallType, Slot, Voice, choose_call_type, render

NEAR_DB: Final = 25.0
HARDER_DB: Final = 14.0
FAR_DB: Final = 22.0
"""Level of a call at the microphone of an easy forest; how much lower in a hard one; how much lower far away."""

LOUDNESS_DB: Final = -37.0
LOUDNESS_SPREAD_DB: Final = 11.0
AUDIBLE_DB: Final = -3.0
"""A call below this signal-to-noise ratio is in nobody's truth: no expert would hear it."""


@dataclass(frozen=True)
class TrueCall:
    """One call of a listed species as it sounds in a recording.

    Seconds and hertz are those of the sound itself; `start_s` is where its slot begins and `template` the row of the
    competition's table that the call type was made for (-1: none). `snr_db` is taken within its band, while it lasts.
    """

    recording_id: str
    species_id: int
    songtype_id: int
    t_min: float
    f_min: float
    t_max: float
    f_max: float
    snr_db: float
    individual: str
    template: int
    start_s: float

    @property
    def audible(self) -> bool:
        """Whether an expert would hear it."""
        return self.snr_db >= AUDIBLE_DB


@dataclass
class _Scene:
    """A recording while it is made: `heard` (sample,) grows, `noise` (frame, bin) is the background's power."""

    forest: Forest
    visit: Visit
    recording_id: str
    heard: Samples
    noise: NDArray[np.float64]
    rng: np.random.Generator
    distances: dict[str, float] = field(default_factory=dict)

    def sing(self, voice: Voice, utterance: Utterance) -> TrueCall | None:
        """Add the call; None where it would not fit, or where the voice is no listed species."""
        rate_hz = self.forest.sample_rate_hz
        call_type = choose_call_type(voice, utterance.individual, self.rng)
        if not 0 <= utterance.start_s <= self.forest.duration_s - 1.4 * call_type.slot.duration_s - 0.1:
            return None
        call = render(voice, utterance.individual, call_type, rate_hz, self.rng)
        singer = f"{utterance.voice} {utterance.individual.name}"
        far = self.distances.setdefault(singer, float(self.rng.beta(1.6, 1.6)))
        power = self._power(voice, call_type, far)
        tilt_db = utterance.individual.tilt_db
        arrived = carry(call.samples, far, tilt_db, self.visit.site.acoustics, rate_hz, self.rng)
        first = round(utterance.start_s * rate_hz)
        here = self.heard[first : first + len(arrived)]
        here += np.float32(np.sqrt(power)) * arrived[: len(here)]
        if voice.species_id < 0:
            return None
        return TrueCall(
            recording_id=self.recording_id,
            species_id=voice.species_id,
            songtype_id=call_type.slot.songtype_id,
            t_min=utterance.start_s + call.start_s,
            f_min=call.f_min_hz,
            t_max=utterance.start_s + call.end_s,
            f_max=call.f_max_hz,
            snr_db=round(float(10 * np.log10(power / self._noise_power(utterance.start_s, call, call_type.slot))), 1),
            individual=f"s{voice.species_id}-{utterance.individual.name}",
            template=call_type.slot.template,
            start_s=utterance.start_s,
        )

    def _power(self, voice: Voice, call_type: CallType, far: float) -> float:
        """A call's power where it arrives: what the site's usual noise has in its band, and so much more."""
        slot = call_type.slot
        usual = ambient_power(self.visit.site.acoustics, slot.f_min_hz, slot.f_max_hz, self.forest.sample_rate_hz)
        above_db = NEAR_DB - HARDER_DB * self.forest.difficulty - FAR_DB * far + voice.level_db
        return usual * float(10 ** ((above_db + self.rng.normal(0.0, 1.5)) / 10))

    def _noise_power(self, start_s: float, call: Call, slot: Slot) -> float:
        frame_s = self.forest.duration_s / len(self.noise)
        bin_hz = self.forest.sample_rate_hz / 2 / self.noise.shape[1]
        first, last = int((start_s + call.start_s) / frame_s), int((start_s + call.end_s) / frame_s)
        low, high = int(slot.f_min_hz / bin_hz), int(slot.f_max_hz / bin_hz)
        return float(self.noise[first : last + 1, low : high + 1].sum(axis=1).mean()) + 1e-12


def record(forest: Forest, index: int, path: Path) -> list[TrueCall]:
    """Render recording `index` of the forest into `path`; its true calls in order of time."""
    world, rng = world_of(forest), generator(forest, 3, index)
    visit = world.visits[index]
    n_samples = round(forest.duration_s * forest.sample_rate_hz)
    heard = background(visit.site.acoustics, draw_weather(rng), n_samples, forest.sample_rate_hz, rng)
    scene = _Scene(forest, visit, world.recording_ids[index], heard, _power_over_time(heard), rng)
    utterances = draw_utterances(world.community, visit, forest.duration_s, rng)
    calls = [scene.sing(world.community.voices[utterance.voice], utterance) for utterance in utterances]
    write_flac(path, heard, forest.sample_rate_hz, rng)
    return sorted((call for call in calls if call is not None), key=lambda call: (call.t_min, call.species_id))


def _power_over_time(samples: Samples) -> NDArray[np.float64]:
    """Power per bin in windows of 1,024 samples, every fourth one, (frame, bin); a row's sum is its mean square."""
    whole = samples[: len(samples) // 4096 * 4096].reshape(-1, 4096)[:, :1024]
    window = np.hanning(1024).astype(np.float32)
    spectrum = scipy.fft.rfft(whole * window, axis=1)[:, :512]
    power: NDArray[np.float64] = np.square(np.abs(spectrum), dtype=np.float64)
    return power * (2 / (1024 * float(np.sum(window**2))))


def write_flac(path: Path, heard: Samples, sample_rate_hz: int, rng: np.random.Generator) -> None:
    """Write samples (sample,) at a loudness that is drawn, whatever they hold."""
    loudness_db = LOUDNESS_DB + rng.uniform(-LOUDNESS_SPREAD_DB, LOUDNESS_SPREAD_DB)
    gain = 10 ** (loudness_db / 20) / float(np.sqrt(np.mean(np.square(heard))))
    gain = min(gain, 0.98 / float(np.abs(heard).max()))
    soundfile.write(path, np.round(heard * (gain * 32767)).astype(np.int16), sample_rate_hz, "PCM_16", format="FLAC")
