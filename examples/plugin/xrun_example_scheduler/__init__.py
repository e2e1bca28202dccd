"""A scheduler for xrun outside of xrun: one role, no retries, a folder and a process for each app."""
