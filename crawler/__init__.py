"""crawler: a distributed crawler that loses nothing."""

__version__ = "0.1.0"
