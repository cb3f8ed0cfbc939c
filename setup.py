"""What pyproject.toml cannot say: no wheel is built without the files of its console."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

VENDOR = Path(__file__).parent / "crawler" / "web" / "console" / "vendor"


class BuildPy(build_py):
    """The usual command, once all is there; an editable install takes what will be there."""

    def run(self) -> None:
        if not self.editable_mode and not (VENDOR / "package-lock.json").is_file():
            raise SetupError("the console's files are missing: `make console` brings them")
        super().run()


setup(cmdclass={"build_py": BuildPy})
