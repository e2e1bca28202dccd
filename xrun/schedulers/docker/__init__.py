"""``-s docker``: containers on an engine.

`request` says what is asked of the engine, purely. `reconcile` says what is to be done next for an app whose containers
are given, purely. `client` is the only file that knows the SDK. Everything about an app is kept by the engine, in labels
and names; a supervisor, started for apps of more than one replica, with retries or a time limit, has no state of its own.
"""
