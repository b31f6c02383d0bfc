"""The schedules of the density and the learning rate, as pure functions of the step."""

from sparse_model.config import TrainingConfig


def annealed(progress: float, target: float, config: TrainingConfig) -> float:
    """A density that falls linearly from 1 to `target` (paper A.2), after a share `progress` of the steps."""
    begin, end = config.anneal_from, config.anneal_until
    if progress >= end:
        return target
    if progress <= begin:
        return 1.0
    return 1 + (target - 1) * (progress - begin) / (end - begin)


def learning_rate_at(step: int, steps: int, config: TrainingConfig) -> float:
    """The shark fin: warm-up, linear decay to zero, and a rise while the density falls (paper A.2, figure 11).

    As in the released script, the factor is sqrt(final density / current density), so it is at most 1.
    """
    warm_up = int(config.warm_up * steps)
    trapeze = step / warm_up if step < warm_up else 1 - (step - warm_up) / (steps - warm_up)
    fin: float = (config.density / annealed(step / steps, config.density, config)) ** 0.5
    return config.learning_rate * trapeze * fin
