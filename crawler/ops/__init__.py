"""For operators of a cluster: what is well, what is not and what to do about it; certificates."""
