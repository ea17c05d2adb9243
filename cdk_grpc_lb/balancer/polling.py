"""How often the balancer's tasks read the target document."""

from __future__ import annotations

import aws_cdk as cdk

from cdk_grpc_lb.validation import Props

# What the image takes, and what it does by default (proxy_image/settings/variables.py).
_MIN_MILLISECONDS, _MAX_SECONDS = 50, 20
IMAGES_INTERVAL_MILLISECONDS, IMAGES_IDLE_MILLISECONDS = 500, 5000


def polling_environment(
    props: Props, interval: cdk.Duration | None, idle_interval: cdk.Duration | None
) -> dict[str, str]:
    """The image's own settings for it. Raises ValueError for intervals that the image refuses."""
    given = {"poll_interval": interval, "idle_poll_interval": idle_interval}
    known = {
        prop: value.to_milliseconds()
        for prop, value in given.items()
        if value is not None and not value.is_unresolved()
    }
    for prop, milliseconds in known.items():
        if not _MIN_MILLISECONDS <= milliseconds <= _MAX_SECONDS * 1000:
            allowed = f"{_MIN_MILLISECONDS} milliseconds to {_MAX_SECONDS} seconds"
            raise props.error(prop, allowed, f"{milliseconds:g} milliseconds")
    shortest = known.get("poll_interval", IMAGES_INTERVAL_MILLISECONDS)
    if interval is None or not interval.is_unresolved():
        idle = known.get("idle_poll_interval", max(shortest, IMAGES_IDLE_MILLISECONDS))
        if idle < shortest:
            raise props.error(
                "idle_poll_interval", f"at least poll_interval, {shortest:g} milliseconds", f"{idle:g} milliseconds"
            )
    return {
        **({} if interval is None else {"GRPC_LB_POLL_SECONDS": _text(interval)}),
        **({} if idle_interval is None else {"GRPC_LB_IDLE_POLL_SECONDS": _text(idle_interval)}),
    }


def _text(duration: cdk.Duration) -> str:
    if duration.is_unresolved():
        return cdk.Token.as_string(duration.to_seconds())
    return f"{duration.to_milliseconds() / 1000:g}"
