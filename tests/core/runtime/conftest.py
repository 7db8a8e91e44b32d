from __future__ import annotations

from tests.core.preprocess.conftest import bare_python as bare_python
from tests.core.preprocess.conftest import container as container
from tests.core.preprocess.conftest import project as project
