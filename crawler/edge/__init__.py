"""The doors in front: load balancers that are kept in step with the registry."""
