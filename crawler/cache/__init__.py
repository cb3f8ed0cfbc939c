"""Pages remembered: RFC 9111 as pure functions, bodies by content hash.

A shared cache in the words of that RFC: `storing` says what may be kept, `freshness` for how long
it is as good as new, `reuse` what may be made of it for a request, `changes` what an answer does to
what is kept, `selecting` what of it is sent. `shelf` keeps it on disk.
"""
