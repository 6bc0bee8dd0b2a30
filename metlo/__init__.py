"""The import paths of Metlo's documentation, served by metlo_otel."""

import warnings
from importlib import metadata

try:
    _version = metadata.version("metlo")
except metadata.PackageNotFoundError:
    pass
else:
    warnings.warn(
        f"the original metlo {_version} is installed beside metlo-otel, and both provide the package `metlo`: "
        "uninstall both, then install metlo-otel alone (pip uninstall metlo metlo-otel; pip install metlo-otel)",
        stacklevel=2,
    )
