"""Programs for developers of this project: set-up, generated pages, locks."""
