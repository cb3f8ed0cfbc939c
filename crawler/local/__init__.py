"""Everything on one machine: an etcd of our own, a whole cluster, and the demonstration."""
