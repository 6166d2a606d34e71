"""What `import hoc` brings. `support/typed_host.py` shows what a type checker knows of it."""

import subprocess
import sys

import hoc
from hoc.distribution import installed_version


def test_the_package_has_the_names_that_one_needs() -> None:
    assert hoc.__version__ == installed_version()
    assert all(getattr(hoc, name) for name in hoc.__all__)
    assert set(hoc.__all__) <= set(dir(hoc))


def test_importing_the_package_imports_nothing_else() -> None:
    check = "import sys, hoc; assert [name for name in sys.modules if name.startswith('hoc.')] == []"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60)
