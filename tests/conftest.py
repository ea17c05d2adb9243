"""How hypothesis searches: on a machine of CI always the same examples, so that a change is judged by itself alone."""

import os

import pytest
from hypothesis import settings

from tests.sharing import groups_of, session_fixtures

settings.register_profile("everyday", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "everyday")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    groups = groups_of({item.nodeid: session_fixtures(item) for item in items})
    for item in items:
        if item.nodeid in groups:
            item.add_marker(pytest.mark.xdist_group(groups[item.nodeid]))
