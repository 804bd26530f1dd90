"""What pyproject.toml cannot express: where `dicenet_mm.ops` lies, and what a wheel holds beside the code."""
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Puts configs and tools into the built package under `.mim/`, as OpenMMLab's packages have them."""

    def run(self):
        super().run()
        if self.editable_mode:  # the package is then the checkout itself, which stays clean
            return
        for folder in ('configs', 'tools'):
            target = Path(self.build_lib, 'dicenet_mm', '.mim', folder)
            shutil.rmtree(target, ignore_errors=True)  # a file deleted since the last build must not survive
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns('__pycache__'))


setup(
    packages=[
        *find_packages(include=['dicenet_mm', 'dicenet_mm.*']),
        'dicenet_mm.ops',
        *(f'dicenet_mm.ops.{package}' for package in find_packages('ops')),
    ],
    package_dir={'dicenet_mm.ops': 'ops'},
    include_package_data=True,  # what MANIFEST.in names inside the packages
    exclude_package_data={'dicenet_mm.ops': ['csrc/*', 'csrc/*/*']},
    cmdclass={'build_py': BuildWithConfigs},
)
