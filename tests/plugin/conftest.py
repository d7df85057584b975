"""What all tests of the plugin ask of TensorBoard."""

import pytest
from tensorboard.backend import security_validator


@pytest.fixture(autouse=True)
def strict_security(monkeypatch):
    """TensorBoard 3 will refuse what it warns of today."""

    def refuse(message):
        raise AssertionError(message)

    monkeypatch.setattr(security_validator, "_maybe_raise_value_error", refuse)
