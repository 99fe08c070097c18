"""The queue: accepts jobs, runs them one at a time in a worker process, and keeps a journal."""
