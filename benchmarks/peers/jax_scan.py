"""JAX: a whole epoch compiled as one `lax.scan` over its batches, the state donated."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax, nn

from benchmarks.peers import session

BATCH = 32
SHAPES: dict[str, list[tuple[int, ...]]] = {  # of the weights of each layer; a bias to each
    "classifier": [(784, 600), (600, 10)],
    "dense_ae": [(784, 100), (100, 784)],
    "conv_ae": [(3, 3, 1, 16), (3, 3, 16, 16), (3, 3, 16, 1)],
}
Layers = list[tuple[Array, Array]]


def logits(layers: Layers, x: Array) -> Array:
    """The model that has these `layers`, up to the logits: the losses below take those."""
    if len(layers) == 2:
        (first, bias), (second, last_bias) = layers
        return nn.relu(x @ first + bias) @ second + last_bias
    x = _pooled(nn.relu(_convolved(x, *layers[0])))
    x = nn.relu(_convolved(x, *layers[1]))
    return _convolved(_upsampled(x), *layers[2])


def _convolved(x: Array, kernel: Array, bias: Array) -> Array:
    """A 3 x 3 convolution as nine matrix products.

    `lax.conv_general_dilated`, whose gradients XLA compiles badly for a CPU, takes 4 times as long.
    """
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    places = [(row, column) for row in range(3) for column in range(3)]
    return bias + sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i, j in places)


def _upsampled(x: Array) -> Array:
    n, height, width, maps = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None], (n, height, 2, width, 2, maps))
    return wide.reshape(n, 2 * height, 2 * width, maps)


def _pooled(x: Array) -> Array:
    n, height, width, maps = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, maps).max((2, 4))


def cross_entropy(layers: Layers, images: Array, labels: Array) -> Array:
    """Of the classifier, mean over the batch."""
    logs = nn.log_softmax(logits(layers, images))
    return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean()


def reconstruction(layers: Layers, images: Array, labels: Array) -> Array:  # noqa: ARG001
    """Of an autoencoder: binary cross-entropy, mean over batch and pixels."""
    outputs = logits(layers, images)
    return -(images * nn.log_sigmoid(outputs) + (1 - images) * nn.log_sigmoid(-outputs)).mean()


def sgd(gradients: Layers, sums: Any) -> tuple[Layers, Any]:
    """The changes of the weights."""
    return jax.tree.map(lambda gradient: -0.01 * gradient, gradients), sums


def adadelta(gradients: Layers, sums: Any) -> tuple[Layers, Any]:
    """The changes of the weights, and the running means of squared gradients and changes."""
    rho, epsilon = 0.95, 1e-7
    mean = partial(jax.tree.map, lambda kept, new: rho * kept + (1 - rho) * new**2)
    seen = mean(sums[0], gradients)
    changes = jax.tree.map(
        lambda gradient, square, change: (
            -jnp.sqrt(change + epsilon) / jnp.sqrt(square + epsilon) * gradient
        ),
        *(gradients, seen, sums[1]),
    )
    return changes, (seen, mean(sums[1], changes))


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=2)
def epoch(
    loss_of: Callable[..., Array],
    update: Callable[..., Any],
    state: Any,
    data: tuple[Array, Array],
    key: Array,
) -> tuple[Any, Array]:
    """Train on every image once; the new state, and the mean loss."""
    images, labels = data

    def step(state: Any, chosen: Array) -> tuple[Any, Array]:
        layers, sums = state
        loss, gradients = jax.value_and_grad(loss_of)(layers, images[chosen], labels[chosen])
        changes, sums = update(gradients, sums)
        return (jax.tree.map(jnp.add, layers, changes), sums), loss

    order = jax.random.permutation(key, len(images))
    whole = len(images) // BATCH * BATCH  # the last batch may be smaller
    state, losses = lax.scan(step, state, order[:whole].reshape(-1, BATCH))
    total = losses.sum() * BATCH
    if whole < len(images):
        state, loss = step(state, order[whole:])
        total += loss * (len(images) - whole)
    return state, total / len(images)


def main() -> None:
    """Train and report."""
    options = session.arguments()
    pixels, labels = session.load(options.data)
    images = pixels.astype("float32") / 255
    images = images[..., None] if options.model == "conv_ae" else images.reshape(-1, 784)
    data = jnp.asarray(images), jnp.asarray(labels, "int32")

    glorot, key = nn.initializers.glorot_uniform(), jax.random.key(0)
    layers = [
        (glorot(jax.random.fold_in(key, index), shape), jnp.zeros(shape[-1]))
        for index, shape in enumerate(SHAPES[options.model])
    ]
    loss_of, update, sums = cross_entropy, sgd, ()
    if options.model != "classifier":
        loss_of, update = reconstruction, adadelta
        sums = tuple(jax.tree.map(jnp.zeros_like, layers) for _ in range(2))
    parameters = sum(array.size for array in jax.tree.leaves(layers))

    state, clock = (layers, sums), session.Clock()
    for number in range(options.epochs):
        state, loss = epoch(loss_of, update, state, data, jax.random.fold_in(key, number))
        clock.epoch(float(loss))
    clock.report(f"JAX {jax.__version__}", parameters)


if __name__ == "__main__":
    main()
