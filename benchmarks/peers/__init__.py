"""One way each to train the three models; every one is a process of its own.

`python -m benchmarks.peers.NAME MODEL --data FOLDER --epochs N` trains and prints a line of JSON
(see `session`). The settings are the textbook's, written out in each script as its user would.
"""
