"""Stubs generated from proto/etcd.proto; ``make proto`` rewrites them."""
