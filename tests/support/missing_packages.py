"""A Python program that runs another one without torch."""

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
