"""Spiders as their users have them: in a file, or installed beside the crawler."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parent.parent / "etc/docs/pages/howto/spiders.md"


def example_spider(site: str) -> str:
    """The code of the example in the documentation, for the shop at this address."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert code.count("https://shop.example/") == 1
    return str(code).replace("https://shop.example/", f"{site}/")


def install_spider(folder: Path, package: str, code: str, attribute: str = "Shop") -> Path:
    """Put a distribution of one module, which has the spider ``shop``, into a new folder, which is
    returned: for ``PYTHONPATH``."""
    place = folder / package
    info = place / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[crawler.spiders]\nshop = {package}:{attribute}\n")
    (place / f"{package}.py").write_text(code)
    return place
