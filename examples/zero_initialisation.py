"""Two "equal" networks: one has 0.98 accuracy, the other 0.08.

The question (Stack Overflow, TensorFlow 1): a network of 784-512-512-10 units
is written once with `tf.layers.dense`, and once by hand with `tf.Variable`.
The first learns, the second guesses. How do they differ?

What gradscope shows: in `broken` the heatmap of gradients is black (exactly
zero) from the first step to the last, for everything except the bias of the
last layer, and all units are dead. The finding is `zero-init`: weights of zero
pass nothing on, neither forwards nor backwards. In addition, the loss applies a
softmax to the output of a softmax. `repaired` uses Glorot's random
initialisation and passes logits to the loss.

The lesson: biases may start at zero, kernels may not.
"""

import keras
import tensorflow as tf
from gradscope_examples import data, running

import gradscope

v1 = tf.compat.v1
STEPS, BATCH = 600, 100


def keras_3(options, kernels, last):
    def dense(units, activation, name):
        return keras.layers.Dense(
            units, activation, kernel_initializer=kernels, name=name
        )

    model = keras.Sequential(
        [
            keras.Input([784]),
            dense(512, "relu", "first"),
            dense(512, "relu", "second"),
            dense(10, last, "last"),
        ]
    )
    model.compile(
        keras.optimizers.RMSprop(1e-3),
        lambda y, p: tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.cast(y, tf.int64), p
        ),
        metrics=["accuracy"],
    )
    x, y, test_x, test_y = data.images(options.data)
    model.fit(
        data.flat(x),
        y,
        batch_size=BATCH,
        epochs=-(-STEPS * BATCH // len(x)),
        verbose=0,
        callbacks=[gradscope.Callback(options.logdir, findings=False)],
    )
    _, accuracy = model.evaluate(data.flat(test_x), test_y, verbose=0)
    return {"accuracy": accuracy}


def tensorflow_1(options, kernels, last):
    """The program of the question, with `gradscope.wrap` added."""

    def dense(x, units, name):
        with v1.variable_scope(name):
            shape = [x.shape[1], units]
            kernel = v1.get_variable("kernel", shape, initializer=kernels())
            bias = v1.get_variable("bias", initializer=tf.zeros([units]))
            return x @ kernel + bias

    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(options.seed)
        images = v1.placeholder(tf.float32, [None, 784])
        labels = v1.placeholder(tf.int64, [None])
        first = tf.nn.relu(dense(images, 512, "first"))
        second = tf.nn.relu(dense(first, 512, "second"))
        y = last(dense(second, 10, "last"))
        crossentropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, y)
        optimizer = v1.train.RMSPropOptimizer(1e-3)
        gradscope.wrap(optimizer, options.logdir)
        train = optimizer.minimize(tf.reduce_mean(crossentropy))
        right = tf.equal(tf.argmax(y, 1), labels)
        accuracy = tf.reduce_mean(tf.cast(right, tf.float32))

        x, y, test_x, test_y = data.images(options.data)
        session.run(v1.global_variables_initializer())
        drawn = data.batches(data.flat(x), y, BATCH, STEPS, options.seed)
        for some, of in drawn:
            session.run(train, {images: some, labels: of})
        test = {images: data.flat(test_x), labels: test_y}
        found = session.run(accuracy, test)
        gradscope.unwrap(optimizer)
    return {"accuracy": found}


GLOROT = v1.glorot_uniform_initializer
VARIANTS = {
    "broken": lambda o: keras_3(o, "zeros", "softmax"),
    "repaired": lambda o: keras_3(o, "glorot_uniform", None),
    "broken_tf1": lambda o: tensorflow_1(
        o, v1.zeros_initializer, tf.nn.softmax
    ),
    "repaired_tf1": lambda o: tensorflow_1(o, GLOROT, tf.identity),
}

if __name__ == "__main__":
    running.main(__file__, __doc__, VARIANTS)
