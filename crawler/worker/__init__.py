"""Doing what was assigned: a supervisor that holds the lease, and children that crawl."""
