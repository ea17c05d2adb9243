"""The balancer's settings: one table of variables, read from the environment by supervisor and control plane."""

from proxy_image.settings.environment import (
    SettingsError,
    from_environment,
    given_sources,
    to_environment,
    unknown_variables,
)
from proxy_image.settings.settings import Settings
from proxy_image.settings.variables import SOURCES, VARIABLES

__all__ = [
    "SOURCES",
    "VARIABLES",
    "Settings",
    "SettingsError",
    "from_environment",
    "given_sources",
    "to_environment",
    "unknown_variables",
]
