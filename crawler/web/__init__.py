"""The door for people and scripts: HTTP with JSON, one module per noun."""
