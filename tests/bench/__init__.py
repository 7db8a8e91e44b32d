"""A bench of real parts: registries, a Docker engine, a Kubernetes. CONTRIBUTING.md explains it."""
