import pytest
import torch
from torch import nn

from lightning_dissect.recording.eager import EagerExecution


class CountingBackend:
    def __init__(self) -> None:
        self.graphs = 0
        self.runs = 0

    def __call__(self, graph: torch.fx.GraphModule, example_inputs: list[torch.Tensor]) -> object:
        self.graphs += 1

        def run(*inputs: torch.Tensor) -> object:
            self.runs += 1
            return graph(*inputs)

        return run


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()


def test_compiled_code_runs_eagerly_until_the_last_holder_lets_go() -> None:
    backend = CountingBackend()
    compiled = torch.compile(nn.Linear(2, 2), backend=backend)
    x = torch.ones(1, 2)
    compiled(x)
    execution = EagerExecution()
    execution.acquire()
    execution.acquire()
    compiled(x)
    execution.release()
    compiled(x)
    assert backend.runs == 1
    execution.release()
    compiled(x)
    assert (backend.runs, backend.graphs) == (2, 1)


def test_the_stance_of_the_user_is_restored() -> None:
    backend = CountingBackend()
    compiled = torch.compile(nn.Linear(2, 2), backend=backend)
    execution = EagerExecution()
    with torch.compiler.set_stance("fail_on_recompile"):
        execution.acquire()
        compiled(torch.ones(1, 2))
        execution.release()
        with pytest.raises(RuntimeError, match="fail_on_recompile"):
            compiled(torch.ones(1, 2))


def test_a_compiler_without_stances_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.compiler, "set_stance")
    execution = EagerExecution()
    execution.acquire()
    execution.release()
    assert execution.holders == 0
