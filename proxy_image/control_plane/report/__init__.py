"""The report: what the page, the API and the terminal show, as data. Pure functions."""
