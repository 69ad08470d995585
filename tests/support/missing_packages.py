"""Programs that make Python run as if packages were not installed."""

WITHOUT_TORCH = """\
import runpy, sys

class NoTorch:
    def find_spec(self, name, *_):
        if name == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTorch())
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
"""For ``python -c``; its argument is the module to run."""

WITHOUT_ENGINES = """\
import sys

class NotInstalled:
    def find_spec(self, name, *_):
        if name in {"onnxruntime", "soxr"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name == "soundfile":
            raise OSError("sndfile library not found")

sys.meta_path.insert(0, NotInstalled())
"""
"""A ``sitecustomize`` for a Python as Alpine has it: what has no wheel there is missing.

soundfile's pure wheel installs everywhere, and fails where the library is not.
"""
