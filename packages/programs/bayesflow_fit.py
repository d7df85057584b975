"""BayesFlow: amortised inference of a normal distribution's mean."""

import bayesflow as bf
import keras
import numpy as np

PACKAGE = "bayesflow"


def prior():
    return {"mean": np.random.normal(size=2)}


def likelihood(mean):
    return {"x": mean + np.random.normal(size=(5, 2))}


def train(observe):
    keras.utils.set_random_seed(0)
    simulator = bf.make_simulator([prior, likelihood])
    data = simulator.sample(256)
    workflow = bf.BasicWorkflow(
        simulator=simulator,
        inference_network=bf.networks.FlowMatching(
            subnet_kwargs={"widths": (16, 16)}
        ),
        summary_network=bf.networks.DeepSet(summary_dim=4, depth=1),
        inference_variables=["mean"],
        summary_variables=["x"],
        optimizer=observe.optimizer(keras.optimizers.Adam(1e-3)),
    )
    history = workflow.fit_offline(
        data, epochs=3, batch_size=64, verbose=0, callbacks=observe.callbacks
    )
    return observe.state(workflow.approximator.weights, history.history)
