"""Resources by name: ``gpu.small``, ``aws_p5.48xlarge``, ``gcp_a3-highgpu-8g``, ``azure_Standard_ND96isr_H100_v5``.

`library` finds a name, in this order: the tables of this package (`generic`, `aws`, `gcp`, `azure`), the sources given
to `xrun.specs.resources.add_source` (xrun.toml is one), and the plugins of the ``xrun.named_resources`` entry-point
group. What comes first wins, so nothing can hide a built-in. A table holds data only and is imported when one of its
names is asked for.
"""

from xrun.specs.named.library import get_named_resource, get_named_resources, named_resources

__all__ = ["get_named_resource", "get_named_resources", "named_resources"]
