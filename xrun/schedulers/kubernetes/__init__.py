"""``-s kubernetes``: an app is one object of a cluster, an Indexed Job or a JobSet, and all else belongs to it.

Pure, plain dicts, no client: `request` chooses the kind and checks (`model` is what it makes of an app, `names`, `pod`,
`job`, `jobset`, `overlay` write it out). `client` alone knows the Kubernetes client. `jobs` is the contract in terms of
both, with `submission`, `objects` and `states` (what a cluster says), `watching`, `kept` and `logs`.
"""

from __future__ import annotations
