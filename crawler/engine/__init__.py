"""How one resource is crawled: store to engine to store, nothing else on the path."""
