import lightning.pytorch.loggers
import pytorch_lightning.loggers

from lightning_dissect.writers.loggers import loggers_called


def test_loggers_of_both_packages_and_their_children_are_known(tmp_path):
    class Mine(lightning.pytorch.loggers.WandbLogger): ...

    known = [object.__new__(kind) for kind in (Mine, pytorch_lightning.loggers.WandbLogger)]
    others = [lightning.pytorch.loggers.CSVLogger(tmp_path), object()]
    assert loggers_called([*known, *others], "WandbLogger") == known
    assert loggers_called(others, "WandbLogger") == []
