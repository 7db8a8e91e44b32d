"""Deployers: what runs an image; `render` is pure, `submit` sends."""
