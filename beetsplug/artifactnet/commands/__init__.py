"""The commands, one module each: options in, calls, printed lines out."""

from beetsplug.artifactnet.commands.bench import aibench_command
from beetsplug.artifactnet.commands.calibrate import aicalibrate_command
from beetsplug.artifactnet.commands.model import aimodel_command
from beetsplug.artifactnet.commands.report import aireport_command
from beetsplug.artifactnet.commands.review import aireview_command
from beetsplug.artifactnet.commands.score import artifactnet_command

__all__ = [
    "aibench_command",
    "aicalibrate_command",
    "aimodel_command",
    "aireport_command",
    "aireview_command",
    "artifactnet_command",
]
