"""How long tests wait for what comes by itself: so long that only a fault gets there, on the busiest machine."""

PATIENCE_SECONDS = 60.0
