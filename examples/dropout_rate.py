"""The same network has 0.98 accuracy in TensorFlow and 2 % less in Keras.

The question (Stack Overflow, TensorFlow 1): a network of 784-256-256-256-256-10
units with dropout after each hidden layer is written once with `tf.nn.dropout`
and once with `keras.layers.Dropout`. The optimizer, the initializers and the
loss are the same. Why does the accuracy differ?

What gradscope shows: gradients and weights look healthy in both. But `Dropout`
in `broken` really drops 70 % of the units, and the loss in training mode is far
above the loss of the same batch without dropout. The finding is
`dropout-keep-prob`: TensorFlow 1's `keep_prob=0.7` is the share that is *kept*,
Keras's `Dropout(0.7)` the share that is *dropped*. `repaired` has
`Dropout(0.3)`, and `repaired_tf1` is the program that was right.

The lesson: compare the share that is really dropped, not the number in the
code.
"""

import keras
import tensorflow as tf
from gradscope_examples import data, running

import gradscope

v1 = tf.compat.v1
HIDDEN, BATCH, EPOCHS = ("visible", "hidden_1", "hidden_2", "hidden_3"), 100, 20


def keras_3(options, rate):
    # Each needs an initializer of its own, or all draw the same numbers.
    def dense(units, activation, name):
        bias = keras.initializers.RandomNormal(stddev=1.0)
        return keras.layers.Dense(
            units, activation, bias_initializer=bias, name=name
        )

    layers = [keras.Input([784])]
    for name in HIDDEN:
        layers += [dense(256, "relu", name)]
        layers += [keras.layers.Dropout(rate, name=f"dropout_{name}")]
    model = keras.Sequential([*layers, dense(10, None, "output")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    x, y, test_x, test_y = data.images(options.data)
    model.fit(
        data.flat(x),
        y,
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[gradscope.Callback(options.logdir, findings=False)],
    )
    _, accuracy = model.evaluate(data.flat(test_x), test_y, verbose=0)
    return {"accuracy": accuracy}


def tensorflow_1(options, keep_prob):
    """The program of the question, with `gradscope.wrap` added."""

    def dense(x, units, name):
        with v1.variable_scope(name):
            kernel = v1.get_variable("kernel", [x.shape[1], units])
            bias = v1.get_variable(
                "bias", initializer=tf.random.normal([units])
            )
            return x @ kernel + bias

    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(options.seed)
        images = v1.placeholder(tf.float32, [None, 784])
        labels = v1.placeholder(tf.int64, [None])
        keep = v1.placeholder_with_default(1.0, [])
        h = images
        for name in HIDDEN:
            h = tf.nn.relu(dense(h, 256, name))
            h = v1.nn.dropout(h, keep_prob=keep, name=f"dropout_{name}")
        y = dense(h, 10, "output")
        crossentropy = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, y)
        optimizer = v1.train.AdamOptimizer(1e-3)
        gradscope.wrap(optimizer, options.logdir)
        train = optimizer.minimize(tf.reduce_mean(crossentropy))
        right = tf.equal(tf.argmax(y, 1), labels)
        accuracy = tf.reduce_mean(tf.cast(right, tf.float32))

        x, y, test_x, test_y = data.images(options.data)
        steps = EPOCHS * len(x) // BATCH
        session.run(v1.global_variables_initializer())
        drawn = data.batches(data.flat(x), y, BATCH, steps, options.seed)
        for some, of in drawn:
            feed = {images: some, labels: of, keep: keep_prob}
            session.run(train, feed)
        test = {images: data.flat(test_x), labels: test_y}
        found = session.run(accuracy, test)
        gradscope.unwrap(optimizer)
    return {"accuracy": found}


VARIANTS = {
    "broken": lambda o: keras_3(o, 0.7),
    "repaired": lambda o: keras_3(o, 0.3),
    "broken_tf1": lambda o: tensorflow_1(o, 0.3),
    "repaired_tf1": lambda o: tensorflow_1(o, 0.7),
}

if __name__ == "__main__":
    running.main(__file__, __doc__, VARIANTS)
