"""Optimisers and learning-rate schedules by name."""

import keras


def build_optimiser(
    name: str,
    learning_rate: float,
    schedule: str,
    total_steps: int,
    warmup_share: float = 0.0,
) -> keras.optimizers.Optimizer:
    """Build an optimiser whose learning rate follows a schedule.

    Args:
        name: "adam", "adamw" (weight decay 0.004) or "sgd" (Nesterov momentum 0.99).
        learning_rate: The highest learning rate.
        schedule: "cosine" falls to zero over all steps; "constant" stays.
        total_steps: Steps of the whole training.
        warmup_share: Share of the steps in which a cosine schedule first rises from zero.

    Returns:
        The optimiser.
    """
    rate = learning_rate
    if schedule == "cosine":
        warmup = round(total_steps * warmup_share)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else learning_rate,
            decay_steps=max(total_steps - warmup, 1),
            warmup_target=learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if name == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.99, nesterov=True)
    return {"adam": keras.optimizers.Adam, "adamw": keras.optimizers.AdamW}[name](rate)
