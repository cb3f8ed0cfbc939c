"""How processes talk to each other: gRPC servers, calls, and our errors on the wire."""
