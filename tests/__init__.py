"""The tests, as a package so that they find one another's helpers, `tests.etcd_server` say."""
