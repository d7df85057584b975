"""What MLflow gets of the mirror; it reads no event files."""

import os
import tempfile

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
directory = tempfile.mkdtemp()

import mlflow  # noqa: E402

from gradscope.mirroring import Mirrors  # noqa: E402

mlflow.set_tracking_uri(f"file://{directory}/mlruns")
with mlflow.start_run() as run:
    mirrors = Mirrors("mlflow")
    for step in (3, 4):
        norms = {"gradscope/gradient_norm": step - 1.5}
        mirrors.log_scalars([(step, norms)])
    mirrors.log_findings(9, "`dense_11`", {"gradscope/errors": 1.0})
    mirrors.log_report("<p>a</p>")
history = mlflow.MlflowClient().get_metric_history(
    run.info.run_id, "gradscope/gradient_norm"
)
print("mirrored", [(metric.step, metric.value) for metric in history])
uri = f"{run.info.artifact_uri}/gradscope"
print("findings", mlflow.artifacts.load_text(f"{uri}/findings.md"))
print("report", mlflow.artifacts.load_text(f"{uri}/report.html"))
