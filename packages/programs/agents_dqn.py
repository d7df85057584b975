"""TF-Agents: a deep Q-network trains on random experience."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
from tf_agents.agents.dqn import dqn_agent
from tf_agents.networks import q_network
from tf_agents.specs import array_spec, tensor_spec
from tf_agents.trajectories import time_step, trajectory

PACKAGE = "tf-agents"


def train(observe):
    tf.keras.utils.set_random_seed(0)
    observation = tensor_spec.from_spec(
        array_spec.BoundedArraySpec((4,), np.float32, -3, 3)
    )
    action = tensor_spec.from_spec(
        array_spec.BoundedArraySpec((), np.int32, 0, 1)
    )
    network = q_network.QNetwork(observation, action, fc_layer_params=(16,))
    optimizer = observe.optimizer(tf.keras.optimizers.Adam(1e-3))
    agent = dqn_agent.DqnAgent(
        time_step.time_step_spec(observation),
        action,
        q_network=network,
        optimizer=optimizer,
        train_step_counter=tf.Variable(0, dtype=tf.int64),
    )
    agent.initialize()
    experience = _experience()
    observe.tape(
        lambda: (
            agent._loss(
                experience, agent._td_errors_loss_fn, training=True
            ).loss
        ),
        network.trainable_weights,
    )
    losses = [agent.train(experience).loss for _ in range(20)]
    return observe.state(losses, network.weights, optimizer.variables)


def _experience():
    random = np.random.default_rng(0)
    shape = (32, 2)
    return trajectory.Trajectory(
        step_type=tf.ones(shape, tf.int32),
        observation=tf.constant(random.normal(size=(*shape, 4)), tf.float32),
        action=tf.constant(random.integers(0, 2, shape), tf.int32),
        policy_info=(),
        next_step_type=tf.ones(shape, tf.int32),
        reward=tf.constant(random.normal(size=shape), tf.float32),
        discount=tf.ones(shape),
    )
