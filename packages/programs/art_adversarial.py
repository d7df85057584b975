"""Adversarial Robustness Toolbox: a classifier trained by ART itself, and
attacked."""

import keras
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import TensorFlowV2Classifier
from data import points

PACKAGE = "adversarial-robustness-toolbox"


def train(observe):
    keras.utils.set_random_seed(0)
    x, y = points()
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = observe.optimizer(keras.optimizers.Adam(1e-2))
    classifier = TensorFlowV2Classifier(
        model, 2, (4,), loss, optimizer, clip_values=(-5, 5)
    )
    variables = model.trainable_variables
    observe.tape(lambda: loss(y, model(x, training=True)), variables)
    classifier.fit(x, y, batch_size=64, nb_epochs=8)
    attacked = FastGradientMethod(classifier, eps=0.1).generate(x)
    classifier.fit(attacked, y, batch_size=64, nb_epochs=4)
    return observe.state(model.weights, optimizer.variables, attacked)
