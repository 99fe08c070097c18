"""The queue: jobs taken in, done one after the other by a worker process, and kept in a journal."""
