"""TensorFlow Probability: variational inference in a loop of its own."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
import tensorflow_probability as tfp

PACKAGE = "tensorflow-probability"


def train(observe):
    tf.random.set_seed(0)
    distributions = tfp.distributions
    data = distributions.Normal(2.0, 1.0).sample(50, seed=1)
    location = tf.Variable(0.0, name="location")
    scale = tfp.util.TransformedVariable(
        1.0, tfp.bijectors.Softplus(), name="scale"
    )
    surrogate = distributions.Normal(location, scale)

    def log_density(mean):
        likelihood = distributions.Normal(mean[..., None], 1.0).log_prob(data)
        prior = distributions.Normal(0.0, 10.0).log_prob(mean)
        return tf.reduce_sum(likelihood, axis=-1) + prior

    def loss():
        return tfp.vi.monte_carlo_variational_loss(
            log_density, surrogate, sample_size=8, seed=(1, 2)
        )

    variables = surrogate.trainable_variables
    observe.tape(loss, variables)
    losses = tfp.math.minimize(
        loss,
        20,
        observe.optimizer(tf.keras.optimizers.Adam(0.1)),
        trainable_variables=variables,
    )
    return observe.state(losses, variables)
