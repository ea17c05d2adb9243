"""How long tests wait for what comes by itself: so long that only a fault gets there, on the busiest machine."""

PATIENCE_SECONDS = 60.0


def pause_after(seconds: float) -> float:
    """Seconds to the next look at what did not come in so many: a tenth of them, as a look often is a request."""
    return max(0.02, min(0.1, seconds / 10))
