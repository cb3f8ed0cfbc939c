"""Throws faults at a whole cluster from a seed, and has what it recorded judged."""
