"""The five stages of dvc.yaml, one script each; the trainings are in pipeline/activities."""
