"""What pyproject.toml cannot say: the folders sweeps/ and analysis/ of the checkout go into the package, as impray/_shipped/."""

from setuptools import find_namespace_packages, find_packages, setup

SHIPPED = ("sweeps", "analysis")

setup(
    packages=[
        *find_packages(include=["impray*"]),
        *(f"impray._shipped.{name}" for name in find_namespace_packages(include=[*SHIPPED, "analysis.*"])),
    ],
    package_dir={f"impray._shipped.{name}": name for name in SHIPPED},
    package_data={
        "impray": ["py.typed"],
        "impray.figures": ["*.html", "*.css", "*.js"],
        "impray._shipped.sweeps": ["*.yaml", "*.json"],
    },
)
