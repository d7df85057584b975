"""The error is 1e-6 in training, and 0.04 after the model was restored.

The question (Stack Overflow, TensorFlow 1): a network of 2-5-3-1 units with
batch norm is trained on all of 1000 examples, saved, restored and run in
inference mode. Its error is then ten thousand times larger. Was something not
saved? (The accepted answer says that the moving statistics are not trained.
They are: `UPDATE_OPS` are run.)

What gradscope shows: in `broken` the moving statistics of the batch norms have
not converged when training ends. With a momentum of 0.99 each step takes over
one hundredth of the batch's statistics, while Adam with a learning rate of 0.05
keeps changing the weights. `batchnorm-statistics` gives the layer and the
distance. `repaired` lets the learning rate fall to zero, so that the statistics
catch up. In `forgotten_tf1` they are never updated, which gives the same kind
of finding with another cause.

The lesson: training with batch norm ends when its statistics have converged,
not when the loss is small.
"""

import keras
import numpy as np
import tensorflow as tf
from gradscope_examples import running

import gradscope

v1 = tf.compat.v1
STEPS, RATE = 3000, 0.05


def examples(seed):
    x = np.random.default_rng(seed).random([1000, 2]).astype("float32")
    return x, 2 * x[:, :1] + 3 * x[:, 1:] + 3


def keras_3(options, rate):
    layers = [keras.Input([2])]
    for number, units in enumerate([5, 3], 1):
        layers += [
            keras.layers.Dense(units, name=f"dense_{number}"),
            keras.layers.BatchNormalization(name=f"norm_{number}"),
            keras.layers.Activation("tanh", name=f"tanh_{number}"),
        ]
    model = keras.Sequential(
        [
            *layers,
            keras.layers.Dense(1, name="dense_3"),
            keras.layers.BatchNormalization(name="norm_3"),
        ]
    )
    model.compile(keras.optimizers.Adam(rate), "mse")
    x, y = examples(options.seed)
    all_of_it = tf.data.Dataset.from_tensors((x, y)).repeat(STEPS // 3)
    callback = gradscope.Callback(options.logdir, findings=False, probe=(x, y))
    history = model.fit(all_of_it, epochs=3, verbose=0, callbacks=[callback])
    return {
        "error in training": history.history["loss"][-1],
        "error when restored": model.evaluate(x, y, len(x), verbose=0),
    }


def norm(x, training, name):
    """Normalise like `tf.layers.batch_normalization`, which Keras 3 lacks."""
    ones, zeros = tf.ones_initializer(), tf.zeros_initializer()
    size = x.shape[1:]
    with v1.variable_scope(name):
        gamma = v1.get_variable("gamma", size, initializer=ones)
        beta = v1.get_variable("beta", size, initializer=zeros)
        moving = [
            v1.get_variable(which, size, initializer=start, trainable=False)
            for which, start in [
                ("moving_mean", zeros),
                ("moving_variance", ones),
            ]
        ]
    of_batch = tf.nn.moments(x, [0])
    for variable, now in zip(moving, of_batch, strict=True):
        update = v1.assign(variable, 0.99 * variable + 0.01 * now)
        v1.add_to_collection(v1.GraphKeys.UPDATE_OPS, update)
    used = [
        tf.where(training, a, b) for a, b in zip(of_batch, moving, strict=True)
    ]
    return tf.nn.batch_normalization(x, *used, beta, gamma, 1e-3)


def tensorflow_1(options, falls=False, updates=True):
    """The program of the question, with `gradscope.wrap` added."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(options.seed)
        training = v1.placeholder(tf.bool, [])
        rate = v1.placeholder_with_default(RATE, [])
        given = v1.placeholder(tf.float32, [None, 2])
        wanted = v1.placeholder(tf.float32, [None, 1])
        n = given
        for number, (units, last) in enumerate([(5, 0), (3, 0), (1, 1)], 1):
            name = f"dense_{number}"
            kernel = v1.get_variable(f"{name}/kernel", [n.shape[1], units])
            bias = v1.get_variable(
                f"{name}/bias", initializer=tf.zeros([units])
            )
            n = norm(n @ kernel + bias, training, f"norm_{number}")
            n = n if last else tf.tanh(n)
        error = tf.reduce_mean((n - wanted) ** 2)
        optimizer = v1.train.AdamOptimizer(rate)
        gradscope.wrap(optimizer, options.logdir)
        run = v1.get_collection(v1.GraphKeys.UPDATE_OPS) if updates else []
        with tf.control_dependencies(run):
            train = optimizer.minimize(error)
        session.run(v1.global_variables_initializer())
        x, y = examples(options.seed)
        feed = {given: x, wanted: y, training: True}
        for step in range(STEPS):
            now = (
                RATE * (1 + np.cos(np.pi * step / STEPS)) / 2 if falls else RATE
            )
            _, found = session.run([train, error], feed | {rate: now})
        gradscope.unwrap(optimizer)
        restored = session.run(error, feed | {training: False})
    return {"error in training": found, "error when restored": restored}


def falling():
    return keras.optimizers.schedules.CosineDecay(RATE, STEPS)


VARIANTS = {
    "broken": lambda o: keras_3(o, RATE),
    "repaired": lambda o: keras_3(o, falling()),
    "broken_tf1": lambda o: tensorflow_1(o),
    "repaired_tf1": lambda o: tensorflow_1(o, falls=True),
    "forgotten_tf1": lambda o: tensorflow_1(o, updates=False),
}

if __name__ == "__main__":
    running.main(__file__, __doc__, VARIANTS)
