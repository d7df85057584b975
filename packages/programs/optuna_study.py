"""Optuna: a study of the learning rate, which prunes."""

import keras
import optuna
from data import points
from nets import compiled, dense

PACKAGE = "optuna"


def train(observe):
    keras.utils.set_random_seed(0)
    x, y = points()

    def objective(trial):
        rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
        model = compiled(observe, dense(), rate)
        for epoch in range(3):
            history = model.fit(
                x, y, verbose=0, callbacks=observe.callbacks
            ).history
            trial.report(history["loss"][-1], epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        models.append(model)
        return history["loss"][-1]

    models = []
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=3)
    return observe.state(*models, study.best_value)
