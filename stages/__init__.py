"""The stages of dvc.yaml, a file each: what DVC runs, and what each declares to everything else."""
