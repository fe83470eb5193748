"""The three that train, each as its users write it: same start, same batches, same rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import l2core

BATCH = 34  # 13 equal batches of the 442 patients

Layers = list[tuple[np.ndarray, np.ndarray]]  # kernel (inputs, outputs) and bias (outputs,)


@dataclass(frozen=True)
class Job:
    """What every framework is given."""

    loss: l2core.Loss
    x: np.ndarray
    target: np.ndarray
    start: Layers
    epochs: int

    def rate(self, epoch: int) -> float:
        size = np.mean(np.abs(self.loss.psi(self.target, np)))  # so that every loss's step is alike
        return float(0.08 / size * 0.9**epoch)

    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (self.x[i : i + BATCH], self.target[i : i + BATCH])
            for i in range(0, len(self.x), BATCH)
        ]


@dataclass
class Run:
    """What a framework gives back: after each epoch (0: before training) its loss and weights."""

    tick: Callable[[], None]
    losses: list[np.float32] = field(default_factory=list)
    layers: list[Layers] = field(default_factory=list)
    predictions: list[np.ndarray] = field(default_factory=list)

    def record(self, loss: Any, arrays: list[Any], predictions: Any) -> None:
        arrays = [np.array(a) for a in arrays]
        self.losses.append(np.float32(loss))
        self.layers.append(list(zip(arrays[0::2], arrays[1::2], strict=True)))
        self.predictions.append(np.array(predictions))
        self.tick()


def train_torch(job: Job, run: Run) -> None:
    import torch

    import l2torch

    modules: list[torch.nn.Module] = []
    for kernel, bias in job.start:
        linear = torch.nn.Linear(*kernel.shape)
        linear.load_state_dict({"weight": torch.tensor(kernel.T), "bias": torch.tensor(bias)})
        modules += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules[:-1])
    criterion = l2torch.Criterion(job.loss)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, job.rate)
    batches = [(torch.tensor(x), torch.tensor(t)) for x, t in job.batches()]

    def record() -> None:
        with torch.no_grad():
            pred = model(torch.tensor(job.x))
            loss = criterion(pred, torch.tensor(job.target))
        state = [array.numpy() for array in model.state_dict().values()]
        run.record(loss, [a.T if a.ndim == 2 else a for a in state], pred.numpy())

    record()
    for _ in range(job.epochs):
        for x, target in batches:
            optimizer.zero_grad()
            criterion(model(x), target).backward()
            optimizer.step()
        schedule.step()
        record()


def train_keras(job: Job, run: Run) -> None:
    import keras

    import l2keras

    last = len(job.start) - 1
    model = keras.Sequential([keras.Input((job.x.shape[1],))])
    for i, (_, bias) in enumerate(job.start):
        model.add(keras.layers.Dense(len(bias), activation="relu" if i < last else None))
    model.set_weights([array for layer in job.start for array in layer])
    criterion = l2keras.Criterion(job.loss)
    model.compile(optimizer=keras.optimizers.SGD(job.rate(0)), loss=criterion)

    def record() -> None:
        pred = keras.ops.stop_gradient(model(job.x))
        loss = keras.ops.convert_to_numpy(criterion(job.target, pred))
        run.record(loss, model.get_weights(), keras.ops.convert_to_numpy(pred))

    record()
    model.fit(
        job.x,
        job.target,
        batch_size=BATCH,
        epochs=job.epochs,
        shuffle=False,
        verbose=0,  # pyright: ignore[reportArgumentType]  # Keras infers str from its default
        callbacks=[
            keras.callbacks.LearningRateScheduler(job.rate),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: record()),
        ],
    )


def train_jax(job: Job, run: Run) -> None:
    import jax

    import l2jax

    criterion = l2jax.Criterion(job.loss)

    @jax.jit
    def predict(layers: Any, x: Any) -> Any:
        for kernel, bias in layers[:-1]:
            x = jax.nn.relu(x @ kernel + bias)
        kernel, bias = layers[-1]
        return x @ kernel + bias

    @jax.jit
    def step(layers: Any, x: Any, target: Any, rate: float) -> Any:
        grads = jax.grad(lambda layers: criterion(predict(layers, x), target))(layers)
        return jax.tree.map(lambda p, g: p - rate * g, layers, grads)

    def record() -> None:
        pred = predict(layers, job.x)
        loss = criterion(pred, jax.numpy.asarray(job.target))
        run.record(loss, jax.tree.leaves(layers), pred)

    layers = jax.device_put(job.start)
    record()
    for epoch in range(job.epochs):
        for x, target in job.batches():
            layers = step(layers, x, target, job.rate(epoch))
        record()
