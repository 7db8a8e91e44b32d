"""The builder `cluster`: an engine that runs a Dockerfile, as a Job."""
