"""The five stages of dvc.yaml, one script each; each reads top to bottom like its activity."""
