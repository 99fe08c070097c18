"""Names the packages, for pyproject.toml cannot: `tweeze` lies in bridge/api."""

from setuptools import find_namespace_packages, setup

# Folders that hold no module are packages, too: plug-ins, scripts, and the demo's recordings.
packages = find_namespace_packages(
    include=["engine*", "audacity*", "reaper*", "bridge*"],
    exclude=["bridge.api*", "*__pycache__*"],
)
setup(packages=[*packages, "tweeze"], package_dir={"tweeze": "bridge/api"})
