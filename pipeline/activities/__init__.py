"""The three trainings, a module each: params and a dataset in, a trained and measured model out."""
