"""How hypothesis searches: on a machine of CI always the same examples, so that a change is judged by itself alone."""

import os

from hypothesis import settings

settings.register_profile("everyday", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "everyday")
