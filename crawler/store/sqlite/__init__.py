"""The SQLite backend: several processes of one machine on one file."""
