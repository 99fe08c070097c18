"""Names the packages, for pyproject.toml cannot: `tweeze` lies in bridge/api."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["engine*", "audacity*", "reaper*", "bridge*"]), "tweeze"],
    package_dir={"tweeze": "bridge/api"},
)
