"""What the stages are built on: one module, one concern; README.md has the map."""
