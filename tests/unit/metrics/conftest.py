import pytest
import torch


def of_kind(kind, images=80, neurons=4, concepts=4):
    """Activations and presence of one kind of difficulty."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(images, neurons, generator=generator)
    c = torch.rand(images, concepts, generator=generator)
    kinds = {
        "random": lambda: (a, c),
        "tied": lambda: ((2 * a).round(), (4 * c).round() / 4),
        "sparse": lambda: (a.where(a > 1.8, 0), c.where(c > 0.8, 0)),
        "dead": lambda: (a * (torch.arange(neurons) % 2), c),
        "constant": lambda: (a.where(torch.arange(neurons) != 1, 0.1), c.where(torch.arange(concepts) != 2, 0.7)),
        "absent": lambda: (a, c * (torch.arange(concepts) % 2)),
        "everywhere": lambda: (a, c.where(torch.arange(concepts) != 1, 0.5 + c / 2)),
        "negative": lambda: (-a.abs() - 1, c),
        "bf16": lambda: (a.to(torch.bfloat16), c.to(torch.bfloat16)),
        "fp16": lambda: (a.half(), c.half()),
        "labels": lambda: (a.double(), c > 0.6),
        "non_finite": lambda: (a.index_fill(1, torch.tensor([3]), torch.inf), c.where(c < 0.999, torch.nan)),
        "strided": lambda: (a.T.contiguous().T, c[:, ::2]),
    }
    return kinds[kind]()


KINDS = ["random", "tied", "sparse", "dead", "constant", "absent", "everywhere", "negative", "bf16", "fp16", "labels"]
KINDS += ["non_finite", "strided"]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Inputs are small: threads would spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def activations():
    return torch.randn(60, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def presence():
    return torch.rand(60, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def difficult(kind):
    return of_kind(kind)
