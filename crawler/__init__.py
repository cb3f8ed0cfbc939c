"""crawler: a distributed crawler that loses nothing."""

__version__ = "0.2.0"
