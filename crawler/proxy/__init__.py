"""The caching forward proxy of a worker.

`server` listens and speaks HTTP/1.1 with clients (`wire`), asks them who they are (`door`) and
tells what they want (`targets`). `tunnel` serves CONNECT. All else goes to `gateway`, which answers
from what is kept, and has `exchange` ask the origin, or the worker that keeps this URL for the
whole cluster (`peers`). `hosts` bounds what an origin gets at a time. Crawls ask that worker, too
(`owners`), and are answered by `lending`.
"""
