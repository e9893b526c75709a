"""Processes that come with their slow imports done, as copies of one that did them.

`make repro` runs a dozen short Python processes, and an import takes each 1.7 core-seconds for
TensorFlow, as long for MLflow, 0.4 for DVC. Within `serving`, a server for each such program
imports its packages once, beside other work, and forks whenever the program is to be started.
`pipeline.processes` alone asks for copies, and does without this folder, too.
"""
