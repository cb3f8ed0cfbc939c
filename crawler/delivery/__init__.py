"""Results on their way out: sinks that are fed from the outbox."""
