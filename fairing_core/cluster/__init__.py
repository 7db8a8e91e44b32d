"""Kubernetes: the backend, and pod patches as plain data."""
