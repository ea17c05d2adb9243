"""Settings from the environment, every problem with them at once, and the environment for a child process."""

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Any

from proxy_image.settings.settings import Settings
from proxy_image.settings.variables import (
    IDLE_POLL,
    PARAMETER_PREFIX,
    POLL,
    PORTS,
    SOURCES,
    TARGETS_FILE,
    VARIABLES,
    Variable,
)
from proxy_image.telemetry import OFF_WORD

PREFIX = "GRPC_LB_"


class SettingsError(ValueError):
    """Every problem of an environment at once; `problems` holds one sentence each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
    """Settings from variables; a missing or empty one has its default. Raises SettingsError with every problem."""
    values, problems = _read_each(env)
    if not _is_set(IDLE_POLL, env) and values[POLL.field] is not None:
        values[IDLE_POLL.field] = max(values[IDLE_POLL.field], values[POLL.field])
    problems += [*_source_problems(env), *_poll_problems(values), *_port_problems(values)]
    if problems:
        raise SettingsError(tuple(problems))
    if values["run_dir"] is None:
        values["run_dir"] = values["state_dir"] / "run"
    return Settings(**values)


def given_sources(env: Mapping[str, str]) -> tuple[Variable, ...]:
    """The variables that are set and name a source of targets."""
    return tuple(variable for variable in SOURCES if _is_set(variable, env))


def _is_set(variable: Variable, env: Mapping[str, str]) -> bool:
    return bool(env.get(variable.name, "").strip())


def _read_each(env: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The value of each field, None where it has none or cannot be read; and what is wrong with the latter."""
    values: dict[str, Any] = {variable.field: None for variable in VARIABLES}
    problems: list[str] = []
    for variable in VARIABLES:
        text = env.get(variable.name, "").strip() or variable.default
        if text is None:
            continue
        try:
            values[variable.field] = variable.read(text)
        except ValueError as allowed:
            problems.append(f"{variable.title} {allowed}, got {text!r}")
    return values, problems


def _source_problems(env: Mapping[str, str]) -> Iterator[str]:
    prefix, targets = PARAMETER_PREFIX.title, TARGETS_FILE.title
    given = given_sources(env)
    if not given:
        yield f"{prefix} is missing: set it to an SSM path, or set {targets} to a targets file"
    if len(given) == 2:
        yield f"{prefix} and {targets} are both set: unset one, a balancer has one source"


def _poll_problems(values: Mapping[str, Any]) -> Iterator[str]:
    fast, slow = values[POLL.field], values[IDLE_POLL.field]
    if fast is not None and slow is not None and slow < fast:
        yield f"{IDLE_POLL.title} must be at least {POLL.title}, got {slow:g} and {fast:g}: change either"


def _port_problems(values: Mapping[str, Any]) -> Iterator[str]:
    seen: dict[int, Variable] = {}
    for variable in PORTS:
        port = values[variable.field]
        if port is None:
            continue
        if port in seen:
            yield f"{variable.title} must differ from {seen[port].title}, got {port} for both: change either"
        seen.setdefault(port, variable)


def unknown_variables(env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """One sentence for each GRPC_LB_ variable that nothing reads: most are typing errors."""
    known = [variable.name for variable in VARIABLES]
    sentences = []
    for name in sorted(env):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            hint = f", did you mean {near[0]}" if near else f", known are {', '.join(known)}"
            sentences.append(f"{name} is not a setting and has no effect{hint}")
    return tuple(sentences)


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that say the same settings: what a child process is handed."""
    env = {}
    for variable in VARIABLES:
        value = getattr(settings, variable.field)
        if value is not None:
            env[variable.name] = str(value)
        elif variable.default is not None:
            # Left out, it would be read as its default.
            env[variable.name] = OFF_WORD
    return env
