"""Ways for jobs to come in and for news to go out; each only translates."""
