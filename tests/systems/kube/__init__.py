"""A Kubernetes cluster of one node on this machine, part by part; ``tests/systems/kubernetes`` is its command.

Only the standard library is used: a person may start the cluster before anything is installed.
"""
