"""A Flax NNX module, and missing targets: NaN there is masked, a NaN prediction never would be."""

import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_linnerud
from sklearn.preprocessing import scale

import l2jax
from l2core import AbsoluteError

data = load_linnerud()  # 20 men: three exercises, three body measures
x = jnp.asarray(scale(data.data), jnp.float32)
complete = scale(data.target).astype(np.float32)
missing = np.random.default_rng(0).random(complete.shape) < 0.3
y = jnp.asarray(np.where(missing, np.nan, complete))


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.hidden = nnx.Linear(3, 8, rngs=rngs)
        self.head = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.tanh(self.hidden(x)))


criterion = l2jax.Criterion(AbsoluteError(), nan_targets="ignore")
per_output = l2jax.Criterion(AbsoluteError(), nan_targets="ignore", axis=0)
model = Net(nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)


@nnx.jit
def step(model, optimizer):
    value, grads = nnx.value_and_grad(lambda model: criterion(model(x), y))(model)
    optimizer.update(model, grads)
    return value


for i in range(300):
    value = step(model, optimizer)
    if i % 100 == 99:
        print(f"step {i + 1}: mean absolute error {value:.4f}")
errors = per_output(model(x), y)
print(f"{missing.sum()} of {missing.size} targets are missing; by output:")
for name, error in zip(data.target_names, errors.tolist(), strict=True):
    print(f"  {name:7s} {error:.3f}")
