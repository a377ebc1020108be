import pytest


@pytest.fixture
def offline_wandb(tmp_path, monkeypatch):
    """W&B without a network, whose files lie in the folder of the test."""
    import wandb

    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield wandb
    wandb.finish()
    wandb.teardown()
