"""Keras as one who knows it runs it: an epoch's batches in one call, by `steps_per_execution`.

And what else each model gains by, in core-seconds an epoch on an AMD EPYC beside other work:
`jit_compile` takes the dense autoencoder from 0.32 to 0.27, but the convolutional one from 1.7 to
3.4; TensorFlow's oneDNN kernels take that one from 3.9 to 1.9, but the classifier from 0.31 to
0.34. They are on by default only where the CPU has certain instructions.
"""

import os

from benchmarks.peers import session


def main() -> None:
    """Train and report."""
    options = session.arguments()
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0" if options.model == "classifier" else "1"
    from benchmarks.peers import plain_keras  # late: TensorFlow reads this when it is imported

    plain_keras.train(options, in_graph=True, jit_compile=options.model == "dense_ae")


if __name__ == "__main__":
    main()
