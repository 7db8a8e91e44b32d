"""The builders `docker` and `podman`: an engine that runs a Dockerfile, on this machine."""
