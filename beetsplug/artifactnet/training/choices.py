"""Every number of the training that was set by hand, each with its reason.

What is not here is fitted, measured or follows from these.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from beetsplug.artifactnet.models.card import Aggregation

# Audio

SAMPLE_RATE = 44_100
"""Hz: what most libraries hold, so most files are not resampled."""
SEGMENT_SAMPLES = 176_400
"""4 s, as in the ArtifactNet pipeline: 18 frames of the longer window."""
CROP_SAMPLES = 185_000
"""4.2 s: a little more than a segment, so that each epoch sees another 4 s of a crop."""
N_SEGMENTS = 7
"""Places of a whole track, as many as the plugin scores."""

# Spectra

N_FFT, HOP_LENGTH = 32_768, 8_192
"""Bins of 1.3 Hz: of all window lengths the one that separates the classes best."""
COARSE_N_FFT, COARSE_HOP = 16_384, 4_096
"""The second resolution: the two together find more than either alone."""
BAND_HZ = (1_000.0, 13_500.0)
"""Above it the spectrum depends more on a lossy codec than on a decoder."""
POWER_FLOOR = 8e-6
"""Power of a Hann-windowed bin of ``N_FFT``, below which 16-bit quantisation noise is all."""
ENVELOPE_BINS = 3
"""A bin and its neighbours: the narrower the envelope, the less of it follows the music."""
COARSE_ENVELOPE_BINS = 5
"""A Hann window's line and one bin on each side; three bins find no more in this one."""
GROUND_BINS = 17
"""A bin and its neighbours, whose mean level in a frame is the ground that it stands on."""
CONTRAST_BINS = 129
"""Wide enough for the noise that a decoder adds to whole neighbourhoods, not for its lines."""
CLIP_DB = 5.0
"""A line that stands out more is one of the music's."""
EMPTY_DB = 3.0
"""A bin at the power floor is empty; one that is so far above it is not."""
DYNAMIC_RANGE_DB = 80.0
"""Of the CNN's channels, as in the ArtifactNet pipeline."""
MASK_BOUND = 0.5
"""The mask's highest value, as in the ArtifactNet pipeline."""

# Modulation spectra and the combs of frame rates

MODULATION_N_FFT, MODULATION_HOP = 128, 32
"""Of the short STFT, whose bins' levels are followed: 1,378 values a second."""
MODULATION_BINS = range(3, 40, 2)
"""1.0 to 13.4 kHz; every other bin, as neighbours hold much the same."""
MODULATION_BANDS = (5, 5, 5, 4)
"""How many of these bins make up each band of the modulation spectrum, from below."""
MODULATION_POINTS = 8_192
"""Of the transform of the levels: modulation bins of 0.17 Hz."""
LEVEL_FLOOR = 3e-10 * MODULATION_N_FFT
"""Power that is added to each cell: ten times that of 16-bit quantisation noise."""
LEVEL_LIMIT = 4.0
"""How far a natural log power counts above or below its mean: 17 dB, more is silence."""
MODULATION_FLOOR = 1e-3
"""Power that is added to each modulation: that of a segment of digital silence."""
NEIGHBOURHOOD = 49
"""Modulation bins, 8 Hz, whose mean is the ground that a line stands on."""
MODULATION_LIMITS_DB = (-4.0, 6.0)
"""Range of a modulation above its ground: one strong beat must not decide alone."""
MODULATION_HZ = 680.0
"""The highest multiple of a frame rate that is looked for; the levels carry 689 Hz."""
SAMPLE_RATES_HZ = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""That decoders run at."""
STRIDES = (2, 3, 5, 7)
"""A decoder's hop is a product of these."""
FRAME_RATES_HZ = (12.0, 112.0)
"""Below, whatever beats in music has such a rate; above, its pitches do, and what few
multiples are left are those of a lower rate, too."""

# Crops and their augmentation

N_VARIANTS = {"clip": 4, "track": 2}
"""Variants of each place, the plain one included: short clips are few, whole tracks many."""
NARROW_RATES_HZ = (16_000, 22_050, 24_000, 32_000)
"""Rates below 44.1 kHz that music is kept at."""
NARROW_SHARE = 0.15
"""Of the augmented variants, in both classes: few libraries hold more."""
NARROW_WEIGHT = 0.3
"""Of all narrow-band crops of a class against all full-band ones."""
SHARE_EQUALISED, SHARE_GAIN, SHARE_LIMITED, SHARE_48_KHZ = 0.3, 0.6, 0.2, 0.15
"""Of the augmented variants: the milder a change, the more common it is in a library."""
GAIN_DB = (-12.0, 4.0)
"""From a quiet classical recording to one that is clipped on playback."""
EQUALISER_DB, EQUALISER_HZ, EQUALISER_Q = (-5.0, 5.0), (80.0, 12_000.0), 0.7
"""Of one or two broad peaks or dips: a mild tone control."""
SHARE_TWICE_CODED = 0.15
"""Files that were transcoded."""
CODEC_SHARES = {"mp3": 0.45, "aac": 0.25, "opus": 0.15, "vorbis": 0.15}
"""As often as a library holds them, about."""
CODEC_SETTINGS = {
    "mp3": (0.0, 0.85),
    "aac": (56_000.0, 144_000.0),
    "opus": (0.6, 0.85),
    "vorbis": (0.1, 0.7),
}
"""Range of libsndfile's compression level, of AAC's bit rate in bit/s: mono at about half of
what libraries hold in stereo."""

# Pairs of real music and its re-synthesis by Lyra

LYRA_FRAME_RATES = {
    "lyra-50": 50.0,
    "lyra-69": SAMPLE_RATE / 640,
    "lyra-75": 75.0,
    "lyra-86": SAMPLE_RATE / 512,
    "lyra-100": 100.0,
}
"""Frames a second that Lyra is declared to have: its own hop at 16, 22.05, 24 and 32 kHz, and
a hop of 512 at 44.1 kHz. One alone harms, five help, nine help no more."""
N_PAIRS = 480
"""Real crops of each frame rate: what counts is how many pieces of music there are."""
PAIR_STRENGTHS = (1.0, 0.3)
"""Of the change that is mixed in: Lyra errs more than its comb is worth, and at 0.3 mostly the
comb is left."""
PAIR_BITS = (None, None, 64, 120, 184)
"""Of a frame. Two fifths without the quantiser: the comb is the decoder's."""
PAIR_CODED_SHARE = 0.5
"""Of the pairs that go through a library codec chain, as files do."""

# Regressions

INVERSE_PENALTY = 1e-4
"""Of the regressions on single bins and frame rates, scikit-learn's C: thousands of weights
on thousands of examples."""
COMB_INVERSE_PENALTY = 1e-3
"""Of the comb's, which has a sixth of the weights."""
GRID_INVERSE_PENALTY = 3e-4
"""Of each decoder's, whose two sides differ by the decoder alone."""
REAL_WEIGHT, COARSE_REAL_WEIGHT = 16.0, 4.0
"""Of a real crop against a generated one, of per-bin and coarse head. Balanced, a regression
puts up with a few real crops that score high, and these few set the threshold for all."""
MODULE_WEIGHT = 2.0
"""Of a tracker module's crop against another in coarse and frame-rate head: pairs, in which
there are no modules, made more of them suspects."""
COARSE_PAIR_WEIGHT, RATE_PAIR_WEIGHT = 0.1, 0.3
"""Of all pairs against all crops, of coarse and frame-rate head: small beside real clips."""


@dataclass(frozen=True)
class Branch:
    """One of the network's branches and what it counts for in the output."""

    name: str
    weight: float
    limit: float = math.inf
    """The most that its logit counts for."""
    confirmed_by: str = ""
    """A branch whose logit this one's never exceeds; empty: it stands for itself."""


BRANCHES = (
    # Tells most by itself. Looped samples of modules stand out here, and less in the coarse
    # head, which has learnt from modules: a line must show at both resolutions.
    Branch("per-bin", weight=2.0, confirmed_by="coarse"),
    # Loudest where music itself stands on a grid, as looped samples do.
    Branch("comb", weight=0.2, limit=1.0),
    # Overfits, and is overconfident on a few unseen tracks.
    Branch("cnn", weight=0.2, limit=1.0),
    # The grids of decoders; held, for the same reason as the comb.
    Branch("grid", weight=1.0, limit=4.0),
    # A quarter of its own besides what it confirms.
    Branch("coarse", weight=0.25),
    # Little beside heads that have learnt from pairs; held like the comb.
    Branch("frame-rate", weight=0.5, limit=4.0),
    # Most narrow-band clips in training are generated; without this weight half of the real
    # ones would be suspects.
    Branch("empty share", weight=-10.0),
)
"""The output is the weighted sum of these, in the order in which their logits are kept. Round
weights: fitted ones gained nothing on folds that they were not fitted on."""


def branches_as_dicts() -> list[dict[str, object]]:
    """Return :data:`BRANCHES` as JSON types, without what does not apply."""
    return [
        {k: v for k, v in asdict(branch).items() if v not in (math.inf, "")}
        for branch in BRANCHES
    ]


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; stored in the checkpoint and the model card."""

    n_fft: int = N_FFT
    hop_length: int = HOP_LENGTH
    n_bins: int = 10_240
    """Up to 13.8 kHz: where a lossy codec cuts off says nothing about who made a song."""
    time_taps: int = 5
    frequency_taps: int = 15
    """Of the medians of HPSS: 2.8 s of pooled frames, 20 Hz."""
    mask_channels: tuple[int, ...] = (16, 32, 48)
    cnn_channels: tuple[int, ...] = (24, 32, 48, 64)
    """Small: more capacity overfits at this amount of data."""
    patch: tuple[int, int] = (3, 32)
    """Frames and bins that the UNet's first layer takes together, for speed."""
    pooled_frames: int = 3
    """Frames averaged for HPSS and CNN, for speed; the mean spectrum needs them all."""
    n_lags: int = 1_600
    """Comb spacings in bins: up to 2.15 kHz."""
    coarse_bins: int = 5_120
    """Of the second spectrum, up to the same frequency."""
    n_grids: int = len(LYRA_FRAME_RATES)
    whitening_bins: int = 128
    """170 Hz: wider than a comb's spacing, narrower than an instrument's range."""
    n_pooled_bands: int = 8
    """Of the CNN's last layer: where in the spectrum, roughly."""
    dropout: float = 0.4

    def as_dict(self) -> dict[str, object]:
        """Return the sizes as JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True)
class TrainConfig:
    """The budget and the optimiser."""

    n_segments: int = 16_000
    """Seen in all, with repetition. Of every fold's network and of the final one alike: the
    longer one is trained, the larger its logits, and one threshold has to fit all."""
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    head_learning_rate: float = 5e-5
    """For the linear heads, which start fitted."""
    weight_decay: float = 0.02
    head_anchor: float = 2e-3
    """Pull of the linear heads towards the regressions' weights."""
    real_weight: float = REAL_WEIGHT
    """Of a real segment against a generated one, in the per-bin head's loss."""
    bin_dropout: float = 0.25
    """Of the per-bin head's input, so that no few bins decide."""
    ema_decay: float = 0.985
    """Of the averaged weights, which are kept: over some 70 steps."""
    gain_db: float = 6.0
    """A segment is made quieter by up to this much."""
    seed: int = 0
    """No seed was picked by what it came to."""
    checkpoint_steps: int = 50
    network: NetworkConfig = field(default_factory=NetworkConfig)


# Thresholds

AI_FPR, UNSURE_FPR = 0.001, 0.05
"""False-positive rates that the thresholds keep to on each set of real music. For ``ai`` a
tenth of the 1 % that is aimed at, so that none of any set is flagged: music of other sources
scores higher than what a threshold was set on."""
AGGREGATION: Aggregation = "tercile"
"""A generated song bears its decoder's trace in every segment; human-made ones that are taken
for generated mostly do so in some."""
CALIBRATION_PARTS = 3
"""One part of so many of the real sources is held back for the thresholds."""
SLOPE_BOUNDS = (0.05, 5.0)
"""Probability logits per logit: the fitted slope lies well inside."""


# The song network

SONG_HOP_LENGTH = 16_384
"""Frames overlap by half, as in the song spectra: half the work of three quarters."""
SONG_POWER_FLOOR = 1e-9 * 0.375 * N_FFT
"""1e-9 under a window of unit energy, as in the song spectra: a Hann window's is 3/8 N_FFT."""
AUDIBLE_PEAK = 1e-3
"""-60 dBFS: a frame that stays below it holds no music and is left out of every mean."""
SONG_CLIP_DB = 3.0
"""A line that stands out of a song's mean by more is one of the music's: a held tone's."""
EMPTY_WEIGHT = 4.0
"""What the share of empty bins takes off the sum: a file cut off at 8 kHz has 0.44 of them.
Where there is nothing no line stands out, which is not how music without a comb looks."""
SONG_BRANCHES = ("standing", "cnn")
"""Of the song network, in the order of its evidence."""
CNN_LIMIT = 2.0
"""The most that the CNN counts for, in deviations of human music: overconfident on a few."""
STRATUM_WEIGHTS = {1: 0.5, N_SEGMENTS: 1.5}
"""Of rows that average so many segments, both classes in each. Songs are what is judged;
single segments teach the rest."""
SONG_REAL_WEIGHT = 4.0
"""Of all human rows against all generated ones of a stratum."""
SONG_INVERSE_PENALTY, CNN_INVERSE_PENALTY = 3e-4, 1e-3
"""scikit-learn's C of the regression on bins and of that on the CNN's features."""
SONG_ITERATIONS = 80
"""Of both regressions: more change no ranking."""
HARD_SHARE = 0.08
"""Weight of all hard negatives against all human rows: they are rare in a library."""
PLATFORMS = (
    "Suno",
    "ElevenLabs",
    "Google Lyria",
    "MiniMax",
    "Udio",
    "ACE-Step",
    "Mureka",
    "YuE",
    "HeartMuLa",
    "DiffRhythm",
    "Muse (open song gen)",
    "JAM (jamify)",
    "Alibaba Token Foundry (hifi-song-generation, arXiv 2607.20253)",
)
"""Families whose songs users will meet."""
PLATFORM_WEIGHT, RESEARCH_WEIGHT = 1.5, 0.5
"""Of a source of a platform and of a research model."""
SONG_MODULE_WEIGHT = 4.0
"""Of a source of tracker modules against one of other human music: their looped samples are
what is most like a decoder's lines. At 1, 9 % of modules of other sources are called AI, at 4
it is 4 %, and of generated songs half a per cent less are found."""
PLATFORM_CLIPS, RESEARCH_CLIPS, HUMAN_CLIPS = 48, 24, 40
"""Clips that one source gives of a platform, of a research model and of human music."""
PACKAGE_TRACKS = 6
"""Tracks of one package: its others sound much the same."""
N_SONG_FOLDS = 8
"""Of the sources, each left out once."""
NEITHER_CLASS = {
    "nomadkaraoke/python-audio-separator": "stems of a neural separator",
    "nomadkaraoke/karaoke-gen": "a stem of a neural separator",
    "f90/Wave-U-Net": "stems of a neural separator",
}
"""Sources that are neither human nor generated: reported apart, never trained on."""
NEW_SOURCE_AI, NEW_SOURCE_UNSURE = 0.005, 0.05
"""Shares of a new source's tracks that may reach ``ai`` and ``unsure``, mean over sources.
Of music other than rendered tracker modules, a quarter of the sources here and next to none
of a library's; their own rates are reported apart."""


@dataclass(frozen=True)
class SongConfig:
    """Sizes of the song network; stored in the model card."""

    stages: NetworkConfig = field(default_factory=NetworkConfig)
    """Of UNet, HPSS and CNN."""
    hop_length: int = SONG_HOP_LENGTH

    def as_dict(self) -> dict[str, object]:
        """Return the sizes as JSON types."""
        return {"hop_length": self.hop_length, "stages": self.stages.as_dict()}
