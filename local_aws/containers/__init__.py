"""`make containers`: builds the images for real and plays the demo with tasks as containers."""
