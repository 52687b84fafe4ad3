"""What of a data set a process holds: on the CPU nothing, on a device the files' bytes or, where they do not fit, those of some steps."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from data.images.image_files import CPU, arrays, forget, open_

from impray.data.images import batches, mapped

IMAGES = 16_384
TRAINED = """
import sys
import torch
from impray.data import open_pack
from impray.spec.data import Arrays

def own():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024

torch.set_num_threads(1)
spec = Arrays(path=sys.argv[1], shape=(3, 16, 16), class_count=2, held_out=1, gaussian_blend=0.5, clone_images=200)

def opened():
    return open_pack([spec], [0], batch=128, dtype=torch.float32, device=torch.device("cpu"))

data = opened()
data.start(0)
data.batch(data.draw(1), 0)  # kernels are compiled, or read
before, seen = own(), set()
data = opened()
data.start(1)
for _ in range(6):
    raw = data.draw(128)
    seen.update(raw["order"].flatten().tolist())
    for step in range(128):
        data.batch(raw, step)
print(own() - before, len(seen))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="asks Linux")
def test_a_process_that_trains_holds_no_copy_of_the_images(tmp_path):
    """12 MiB of bytes and 24 of clones, in floats 48 each; nearly all are read, of which the process has a few batches of 384 KiB."""
    random, path = np.random.default_rng(0), tmp_path / "set.npz"
    inputs, labels = random.integers(0, 256, (IMAGES, 768), np.uint8), np.arange(IMAGES) % 2
    np.savez(path, inputs=inputs, labels=labels)
    run = subprocess.run(
        [sys.executable, "-c", TRAINED, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    more, seen = map(float, run.stdout.split())
    assert seen > 0.95 * 0.8 * IMAGES  # a fifth may be held out
    assert more < 6


def mixed(folder, dtype):
    asked, kind, _ = arrays(folder, dtype, (3, 5, 7))
    blends = [(0, "channel"), (0.3, "channel"), (1, "joint"), (0.3, "channel")]
    specs = [kind(**asked, gaussian_blend=b, clone=clone, keep_classes=2) for b, clone in blends]
    return specs, [0, 0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stored", [np.uint8, np.float64], ids=["bytes", "floats"])
@pytest.mark.parametrize("table", ["images", "clones", "both"])
def test_rows_that_are_sent_make_the_same_batches(dtype, stored, table, tmp_path, monkeypatch):
    """As on a device too small for a table, which is then read on the host; both kinds of table have sizes of their own."""
    specs, seeds = mixed(tmp_path, stored)
    there = open_(specs, seeds, dtype=dtype)
    raw = there.draw(3)
    right = [there.batch(raw, step) for step in range(3)]
    kinds = {"images": [torch.uint8, torch.float32], "clones": [torch.float16]}
    unfit = kinds.get(table, [kind for both in kinds.values() for kind in both])
    inner = mapped.table
    monkeypatch.setattr(
        "impray.data.images.gathered.table",
        lambda inputs, *rest: inner(inputs, *rest)._replace(sent=mapped.shared_memory(inputs[:1]).dtype in unfit),
    )
    forget()
    sending = open_(specs, seeds, dtype=dtype)
    assert sending._one_pass is None and sending._sends
    raws = [sending.draw(1), sending.draw(2)]
    assert {name for raw in raws for name in raw} > {"order"}
    for step, (raw, place) in enumerate([(raws[0], 0), (raws[1], 0), (raws[1], 1)]):
        x, labels = sending.batch(raw, place)
        again, _ = sending.batch(raw, place)
        assert torch.equal(x, right[step][0]) and torch.equal(labels, right[step][1]) and torch.equal(again, x)


def test_a_whole_set_can_be_sent_too(tmp_path, monkeypatch):
    specs, seeds = mixed(tmp_path, np.uint8)
    x, labels = open_(specs, seeds).whole(1)
    forget()
    monkeypatch.setattr(mapped, "fits", lambda size, device: False)
    found, found_labels = open_(specs, seeds).whole(1)
    assert torch.equal(found, x) and torch.equal(found_labels, labels)


def test_what_is_sent_at_once_is_bounded(tmp_path, monkeypatch):
    specs, seeds = mixed(tmp_path, np.uint8)
    monkeypatch.setattr(mapped, "fits", lambda size, device: False)
    monkeypatch.setattr(batches, "_SENT_BYTES", 2**16)
    pack = open_(specs, seeds)
    raw = pack.draw(pack.block)
    rows = [x for name, x in raw.items() if name != "order"]
    assert {x.dtype for x in rows} == {torch.uint8, torch.float16}
    assert 2**15 < sum(x.nbytes for x in rows) <= 2**16


def test_a_device_takes_a_table_as_it_is_stored_if_it_has_four_times_the_room(monkeypatch):
    cuda, free = torch.device("cuda"), 2**20
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 8 * free))
    assert mapped.fits(free // 4, cuda) and not mapped.fits(free // 4 + 1, cuda)
    assert mapped.fits(2**60, CPU)
    inputs = np.arange(12, dtype=np.uint8).reshape(4, 3)
    copied = mapped.copied(inputs, np.array([2, 0]), CPU)
    assert copied.dtype == torch.uint8 and copied.tolist() == inputs[[2, 0]].tolist()
