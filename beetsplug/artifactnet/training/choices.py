"""Every number of the training that was set by hand, each with its reason.

What is not here is fitted, measured or follows from these.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

# Audio

SAMPLE_RATE = 44_100
"""Hz: what most libraries hold, so most files are not resampled."""
SEGMENT_SAMPLES = 176_400
"""4 s, as in the ArtifactNet pipeline."""
N_SEGMENTS = 7
"""Of a whole track, as many as the plugin scores."""

# Spectra

N_FFT = 32_768
"""Bins of 1.3 Hz: of all window lengths the one that separates the classes best."""
HOP_LENGTH = 16_384
"""Frames overlap by half, as in the song spectra: half the work of three quarters."""
BAND_HZ = (1_000.0, 13_500.0)
"""Above it the spectrum depends more on a lossy codec than on a decoder."""
POWER_FLOOR = 1e-9 * 0.375 * N_FFT
"""1e-9 under a window of unit energy, as in the song spectra: a Hann window's is 3/8 N_FFT."""
AUDIBLE_PEAK = 1e-3
"""-60 dBFS: a frame that stays below it holds no music and is left out of every mean."""
ENVELOPE_BINS = 3
"""A bin and its neighbours: the narrower the envelope, the less of it follows the music."""
GROUND_BINS = 17
"""A bin and its neighbours, whose mean level in a frame is the ground that it stands on."""
CLIP_DB = 3.0
"""A line that stands out of a song's mean by more is one of the music's: a held tone's."""
EMPTY_DB = 3.0
"""A bin at the power floor is empty; one that is so far above it is not."""
CHANNEL_FLOOR = 8e-6
"""Power of a bin in the CNN's channels, below which 16-bit quantisation noise is all."""
DYNAMIC_RANGE_DB = 80.0
"""Of the CNN's channels, as in the ArtifactNet pipeline."""
MASK_BOUND = 0.5
"""The mask's highest value, as in the ArtifactNet pipeline."""

# What happens to a file on its way into a library

SHARE_EQUALISED, SHARE_GAIN, SHARE_LIMITED, SHARE_48_KHZ = 0.3, 0.6, 0.2, 0.15
"""Of the recoded variants: the milder a change, the more common it is in a library."""
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

# Rows and what they weigh

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
PLATFORM_CLIPS, RESEARCH_CLIPS, HUMAN_CLIPS = 48, 24, 40
"""Clips that one source gives of a platform, of a research model and of human music."""
PACKAGE_TRACKS = 6
"""Tracks of one package: its others sound much the same."""
NEITHER_CLASS = {
    "nomadkaraoke/python-audio-separator": "stems of a neural separator",
    "nomadkaraoke/karaoke-gen": "a stem of a neural separator",
    "f90/Wave-U-Net": "stems of a neural separator",
}
"""Sources that are neither human nor generated: reported apart, never trained on."""
SONG_WEIGHT, CLIP_WEIGHT = 1.5, 0.5
"""Of rows that average several segments, and of one. Songs are what is judged; single segments
teach the rest."""
REAL_WEIGHT = 4.0
"""Of all human rows against all generated ones, in either kind of rows."""
PLATFORM_WEIGHT, RESEARCH_WEIGHT = 1.5, 0.5
"""Of a source of a platform and of a research model."""
MODULE_WEIGHT = 4.0
"""Of a source of tracker modules against one of other human music: their looped samples are
what is most like a decoder's lines. At 1, 9 % of modules of other sources are called AI, at 4
it is 4 %, and of generated songs half a per cent less are found."""
HARD_SHARE = 0.08
"""Weight of all hard negatives against all human rows: they are rare in a library."""

# Heads and their sum

INVERSE_PENALTY, CNN_INVERSE_PENALTY = 3e-4, 1e-3
"""scikit-learn's C of the regression on bins and of that on the CNN's features."""
ITERATIONS = 80
"""Of both regressions: more change no ranking."""
BRANCHES = ("standing", "cnn")
"""In the order of the evidence."""
CNN_WEIGHT = 0.5
"""In the sum. A regression on both, which knows the CNN of single segments alone, gives 0.4 to
1.3 from one cut of the rows to another; songs are told best from 0.2 to 0.6."""
CNN_LIMIT = 2.0
"""The most that the CNN counts for, in deviations of human music: overconfident on a few."""
EMPTY_WEIGHT = 4.0
"""What the share of empty bins takes off the sum: a file cut off at 8 kHz has 0.44 of them.
Where there is nothing no line stands out, which is not how music without a comb looks."""

# Speed

SPEED_REACH, SPEED_STEP = 0.015, 2e-4
"""Songs are searched for lines as if played up to 1.5 % faster or slower. A step moves a line
at 10 kHz by 1.5 bins, and a line is some two wide."""
SPEED_MARGIN_SONG, SPEED_MARGIN_CLIP = 0.25, 4.0
"""By how much the best other speed must be above the file's own, of seven segments and of one.
The most of 150 looks is high by chance. At 0.25 songs are ranked and accused as without the
search in two deals of the sources, at 0.15 TPR at FPR 1 % falls by 0.01 in one of them. In a
single segment chance reaches 2."""

# Judging

N_FOLDS = 8
"""Of the sources, each left out once."""
NEW_SOURCE_AI, NEW_SOURCE_UNSURE = 0.005, 0.05
"""Shares of a new source's tracks that may reach ``ai`` and ``unsure``, mean over sources.
Of music other than rendered tracker modules, a quarter of the sources here and next to none
of a library's; their own rates are reported apart."""
SLOPE_BOUNDS = (0.05, 5.0)
"""Probability logits per unit of the sum: the fitted slope lies well inside."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; stored in the model card."""

    n_fft: int = N_FFT
    hop_length: int = HOP_LENGTH
    n_bins: int = 10_240
    """Up to 13.8 kHz: where a lossy codec cuts off says nothing about who made a song."""
    time_taps: int = 5
    frequency_taps: int = 15
    """Of the medians of HPSS, pooled frames and bins: all of a segment, and 20 Hz."""
    mask_channels: tuple[int, ...] = (16, 32, 48)
    cnn_channels: tuple[int, ...] = (24, 32, 48, 64)
    """Small: more capacity overfits at this amount of data."""
    patch: tuple[int, int] = (3, 32)
    """Frames and bins that the UNet's first layer takes together, for speed."""
    pooled_frames: int = 3
    """Frames averaged for HPSS and CNN, for speed; the mean spectrum needs them all."""
    whitening_bins: int = 128
    """170 Hz: wider than a comb's spacing, narrower than an instrument's range."""
    n_pooled_bands: int = 8
    """Of the CNN's last layer: where in the spectrum, roughly."""

    def as_dict(self) -> dict[str, object]:
        """Return the sizes as JSON types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
