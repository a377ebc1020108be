import platform
import subprocess
import sys
from pathlib import Path

import pytest

GIVEN_BACK = """
import resource, torch
from pathlib import Path
from lightning_dissect.recording import PooledActivations

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

torch.ones(2**23 - 2**18)  # once this is freed, the allocator keeps what is smaller for itself
state, values = PooledActivations(), torch.ones(256, 4000)
for start in range(0, 8192, 256):
    state.update(torch.arange(start, start + 256), values)
above, held = torch.ones(2**18), resident()
state.reset()
print((held - resident()) / (8192 * 4000 * 4), len(above))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is known of the allocator")
def test_memory_of_blocks_goes_back_to_the_system() -> None:
    """In a process of its own: in this one others have left holes that are filled first."""
    done = subprocess.run([sys.executable, "-c", GIVEN_BACK], capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[0]) > 0.6


COLLECTING = """
import sys, threading, time, torch
from pathlib import Path
from lightning_dissect.recording.pooled import PooledActivations
from lightning_dissect.recording.storage import ActivationStorage
from lightning_dissect.recording.top_k import top_images

def anonymous():
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.002)

images, neurons, max_bytes = map(int, sys.argv[1:])
batch = torch.randn(64, neurons)
top_images(batch, torch.arange(64), 2)
start = peak = anonymous()
threading.Thread(target=watch, daemon=True).start()
state = PooledActivations(ActivationStorage(max_bytes))
for ids in (torch.arange(images), torch.randperm(images, generator=torch.Generator().manual_seed(0))):
    state.reset()
    for part in ids.split(64):
        state.update(part, batch[: len(part)])
    sample_ids, values = state.compute()
    assert torch.equal(sample_ids, torch.arange(images))
    print(f"collected {(peak - start) >> 20} MiB", file=sys.stderr)
    top_images(values, sample_ids, 5)
    print(f"ranked {(peak - start) >> 20} MiB", file=sys.stderr)
print(peak - start)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_memory_stays_within_the_limit_of_the_storage() -> None:
    images, neurons, max_bytes = 12_000, 2000, 8 * 2**20
    arguments = [sys.executable, "-c", COLLECTING, str(images), str(neurons), str(max_bytes)]
    run = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert int(run.stdout) < max_bytes + 64 * 2**20 < images * neurons * 4
