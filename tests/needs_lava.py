"""Skips the module that imports this one where lava cannot be imported.

`import needs_lava` stands above the imports that need it. In a module of which only some tests
need lava, these import it themselves and are marked with `lava` (conftest.py).
"""

import pytest
from lava_backends import LAVA_IS_MISSING, WITHOUT_LAVA

if LAVA_IS_MISSING:
    pytest.skip(WITHOUT_LAVA, allow_module_level=True)
