"""This machine: every app has a supervisor, a process forked at submission that belongs to nobody afterwards.

The supervisor owns the app's folder and holds a lock in it for as long as it lives. Replicas write straight to files;
whoever waits or follows holds a socket that closes when the supervisor ends.
"""

from __future__ import annotations

RANK0 = "localhost"
"""Host of every replica."""
