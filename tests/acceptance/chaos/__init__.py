"""Whether a run under faults kept the promises: its recorded history, judged by pure functions."""
