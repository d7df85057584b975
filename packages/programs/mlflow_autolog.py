"""MLflow: autologging of a fit, into a folder."""

import mlflow
from data import points
from nets import fit_dense

PACKAGE = "mlflow"


def train(observe):
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.tensorflow.autolog(log_models=False)
    with mlflow.start_run():
        return fit_dense(observe, *points())
