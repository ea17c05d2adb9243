"""What Envoy counts and what documents change, made into one report: for the page, the API, the metrics."""
