"""What all tests of the plugin ask of TensorBoard."""

import pytest
import runs
from plugin_client import (
    PROVIDERS,
    client_of,
    loaded,
)
from tensorboard.backend import security_validator


@pytest.fixture(autouse=True)
def strict_security(monkeypatch):
    """TensorBoard 3 will refuse what it warns of today."""

    def refuse(message):
        raise AssertionError(message)

    monkeypatch.setattr(security_validator, "_maybe_raise_value_error", refuse)


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """Returns a log directory with runs of every kind."""
    directory = tmp_path_factory.mktemp("logs")
    runs.healthy(directory, layers=3, steps=100)
    runs.abnormal(directory)
    runs.hostile(directory)
    runs.restarted(directory)
    runs.bad_schema(directory)
    runs.layered(directory)
    return directory


@pytest.fixture(scope="module")
def sources(logdir):
    return {name: loaded(logdir, name) for name in PROVIDERS}


@pytest.fixture(params=PROVIDERS)
def client(request, sources):
    return client_of(sources[request.param])
