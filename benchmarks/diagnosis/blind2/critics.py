"""Values of states and actions."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.diagnosis.blind2 import sources
from benchmarks.diagnosis.case import fault


class Rooms:
    """A square of rooms, a small prize near the start and a large one in the
    far corner; each step costs a little."""

    side, longest = 5, 30

    def __init__(self, seed=3):
        self.random = np.random.default_rng(seed)

    def code(self, places):
        """Return places as one-hot rows."""
        rows = np.eye(self.side**2, dtype="float32")
        return rows[np.asarray(places)]

    def move(self, place, action):
        """Return the next place, the reward and whether it ends."""
        row, column = divmod(place, self.side)
        row += (action == 0) - (action == 1)
        column += (action == 2) - (action == 3)
        row = min(max(row, 0), self.side - 1)
        column = min(max(column, 0), self.side - 1)
        after = row * self.side + column
        prize = {self.side**2 - 1: 1.0, 2: 0.2}.get(after, 0.0)
        return after, prize - 0.02, prize > 0

    def worth(self, q):
        """Return what a greedy player gets, given values `[25, 4]`."""
        place, total = 0, 0.0
        for _ in range(self.longest):
            place, reward, ends = self.move(place, int(q[place].argmax()))
            total += reward
            if ends:
                break
        return {"return": round(total, 3)}


def explore(training, episodes, *, replay_each_step, decay, per_step):
    """Train a DQN online, and return what its greedy player gets."""
    rooms = Rooms()
    online, target = (
        sources.perceptron(25, [32], 4, name=name) for name in ("q", "copy")
    )
    target.set_weights(online.get_weights())
    optimizer = training.wrap(keras.optimizers.Adam(0.003), model=online)

    @tf.function
    def step(x, a, reward, after, alive):
        best = tf.reduce_max(target(after), 1)
        goal = reward + 0.97 * alive * best
        with tf.GradientTape() as tape:
            q = tf.reduce_sum(online(x) * tf.one_hot(a, 4), 1)
            loss = tf.reduce_mean((goal - q) ** 2)
        sources.descend(optimizer, tape, loss, online.trainable_variables)

    random, memory, epsilon, count = rooms.random, [], 1.0, 0

    def replay():
        rows = random.integers(0, len(memory), 32)
        p, a, g, n, e = zip(*[memory[i] for i in rows], strict=True)
        step(
            tf.constant(rooms.code(p)),
            tf.constant(a, "int32"),
            sources.constant(g),
            tf.constant(rooms.code(n)),
            sources.constant(1 - np.array(e, "float32")),
        )

    for _ in range(episodes):
        place = 0
        for _ in range(rooms.longest):
            a = int(random.integers(4))
            if random.random() > epsilon:
                q = np.asarray(online(rooms.code([place])))[0]
                a = int(q.argmax())
            after, reward, ends = rooms.move(place, a)
            memory.append((place, a, reward, after, ends))
            place, count = after, count + 1
            if per_step:
                epsilon *= decay
            if replay_each_step and len(memory) > 32:
                replay()
            if count % 100 == 0:
                target.set_weights(online.get_weights())
            if ends:
                break
        if not per_step:
            epsilon *= decay
        if not replay_each_step and len(memory) > 32:
            replay()
    return rooms.worth(np.asarray(online(rooms.code(range(25)))))


@fault(
    cause="One batch of the memory is replayed after each episode and not "
    "after each step, so the network is hardly trained when exploring ends.",
    source="https://github.com/keon/deep-q-learning/issues/12",
)
def replay_after_the_episode(training):
    """Learning is called in the loop over the episodes. That is enough for an
    easy game and for no other. Return -.60 against .84."""
    return explore(
        training,
        150,
        replay_each_step=not training.broken,
        decay=0.98,
        per_step=False,
    )


@fault(
    cause="Epsilon is multiplied by its decay after each step and not after "
    "each episode, so exploring ends within the first episodes.",
    source="https://github.com/shivaverma/Orbit/issues/10",
    invisible="The loop's choice of actions is no part of the training step: "
    "the network learns well what the memory holds.",
)
def epsilon_that_decays_each_step(training):
    """The agent does not get beyond the first prize: the share of random
    actions falls whenever a batch is replayed. Return .16 against .84."""
    return explore(
        training,
        150,
        replay_each_step=True,
        decay=0.97,
        per_step=training.broken,
    )


@fault(
    cause="The critic is trained on the action that the policy would take "
    "and not on the one that was taken and rewarded.",
    layers=["critic_1", "critic_2", "critic_out"],
    source="https://github.com/KornbergFresnel/ModelRepo/issues/1",
)
def critic_of_other_actions(training):
    """DDPG whose critic is given pi(s) where the action of the memory belongs:
    it learns nothing of what the action changes. Reward -.026 against
    -.002."""
    r = np.random.default_rng(4)
    actor = sources.perceptron(3, [32], 1, "tanh", "actor")
    critic = sources.perceptron(4, [48, 48], 1, name="critic")
    actor_rule = training.wrap(keras.optimizers.Adam(0.001), model=actor)
    critic_rule = training.wrap(keras.optimizers.Adam(0.003), model=critic)

    def reward_of(s, a):
        return -((a - np.sin(2 * s[:, :1]) * 0.8) ** 2)

    @tf.function
    def step(s, a, reward):
        with tf.GradientTape() as tape:
            chosen = actor(s) if training.broken else a
            q = critic(tf.concat([s, chosen], 1))
            loss = tf.reduce_mean((q - reward) ** 2)
        sources.descend(critic_rule, tape, loss, critic.trainable_variables)
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(critic(tf.concat([s, actor(s)], 1)))
        sources.descend(actor_rule, tape, loss, actor.trainable_variables)

    for _ in range(1500):
        s = r.uniform(-1, 1, (64, 3)).astype("float32")
        a = np.asarray(actor(s)) + r.normal(0, 0.3, (64, 1))
        a = a.astype("float32")
        step(tf.constant(s), tf.constant(a), tf.constant(reward_of(s, a)))
    s = r.uniform(-1, 1, (1000, 3)).astype("float32")
    return {"reward": float(reward_of(s, np.asarray(actor(s))).mean())}


@fault(
    "unscaled-input",
    cause="After the critic was moved out of the policy its observations are "
    "no longer normalised, a thousand for one of them and one for the other.",
    layers=["value_1"],
    source="https://github.com/Unity-Technologies/ml-agents/issues/5583",
)
def critic_without_the_normaliser(training):
    """PPO stops learning after an update: the actor's inputs are normalised
    and those of the critic are not. Explained share of the returns .11 against
    .99."""
    r = np.random.default_rng(5)
    actor = sources.perceptron(2, [32], 2, name="policy")
    critic = sources.perceptron(2, [32, 32], 1, name="value")
    actor_rule = training.wrap(keras.optimizers.Adam(0.003), model=actor)
    critic_rule = training.wrap(keras.optimizers.Adam(0.003), model=critic)
    scale = np.array([1000, 1], "float32")

    def observe(n):
        x = r.normal(size=(n, 2)).astype("float32")
        return x, (x * scale if training.broken else x)

    def returns(x, a):
        side = np.where(a == 1, 1, -1)
        return np.sin(2 * x[:, 1]) + 0.5 * x[:, 0] + 0.3 * side * x[:, 1]

    @tf.function
    def step(x, seen, a, come):
        with tf.GradientTape() as tape:
            value = critic(seen)[:, 0]
            loss = tf.reduce_mean((come - value) ** 2)
        sources.descend(critic_rule, tape, loss, critic.trainable_variables)
        gain = come - value
        with tf.GradientTape() as tape:
            log = tf.nn.log_softmax(actor(x))
            taken = tf.reduce_sum(log * tf.one_hot(a, 2), 1)
            loss = -tf.reduce_mean(taken * tf.stop_gradient(gain))
        sources.descend(actor_rule, tape, loss, actor.trainable_variables)

    for _ in range(800):
        x, seen = observe(64)
        z = np.asarray(actor(x)) + r.gumbel(size=(64, 2))
        a = z.argmax(1)
        come = returns(x, a)
        step(x, seen, tf.constant(a, "int32"), sources.constant(come))
    x, seen = observe(2000)
    a = np.asarray(actor(x)).argmax(1)
    reward = float(returns(x, a).mean())
    come = returns(x, a)
    return sources.explained(come, np.asarray(critic(seen))[:, 0]) | {
        "reward": reward
    }
