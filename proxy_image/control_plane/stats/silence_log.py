"""A line of the log as a target falls silent, and another one when that is over."""

from __future__ import annotations

import logging

from proxy_image.control_plane.stats.silent_targets import Silences

log = logging.getLogger(__name__)


def tell(before: Silences, after: Silences) -> None:
    """What has changed between two readings."""
    was = {(service, where) for service, targets in before.unanswered.items() for where in targets}
    now = {(service, where): told for service, targets in after.unanswered.items() for where, told in targets.items()}
    for (service, where), told in now.items():
        if (service, where) not in was:
            facts = {"service": service, "target": where, "calls_waiting": told.waiting, "calls_sent": told.sent}
            log.warning("target does not answer", extra={"facts": facts})
    for service, where in sorted(was - now.keys()):
        log.info("target answers or is gone", extra={"facts": {"service": service, "target": where}})
