"""What the stages stand on: one module, one concern; README.md has the map."""
