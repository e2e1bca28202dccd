"""``-s docker``: containers on an engine.

`request` says what is asked of the engine, `reconcile` what is to be done next for an app whose containers are given;
both are pure. `client` is the only file that knows the SDK. All that is known of an app is kept by the engine, in
labels and names; a supervisor, started for more than one replica, retries or a time limit, has no state of its own.
"""
