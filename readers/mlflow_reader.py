"""What MLflow gets of the mirror; it reads no event files."""

import os
import tempfile

os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.chdir(tempfile.mkdtemp())

import mlflow  # noqa: E402
from trained import fit  # noqa: E402

mlflow.set_tracking_uri(f"file://{os.getcwd()}/mlruns")
with mlflow.start_run() as run:
    fit("logs/run", "mlflow")
client = mlflow.MlflowClient()
for name in sorted(client.get_run(run.info.run_id).data.metrics):
    steps = [m.step for m in client.get_metric_history(run.info.run_id, name)]
    print(f"{name}: {len(steps)} points, of steps {steps[0]} to {steps[-1]}")
uri = f"{run.info.artifact_uri}/gradscope"
if "`dense_10`" in mlflow.artifacts.load_text(f"{uri}/findings.md"):
    print("gradscope/findings.md: `dense_10`")
if "data-report" in mlflow.artifacts.load_text(f"{uri}/report.html"):
    print("gradscope/report.html: the page")
