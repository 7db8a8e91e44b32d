"""Builders: a context and a base image become an image."""
