"""What was converted is kept: once, whole, and made again when it is not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from data import dataset_files as files
from data.stored.held import TESTS, assert_holds, told
from pydantic import ValidationError

from impray.data import stored
from impray.data.formats.plan import MOST_ROWS, NUMBERS, portions
from impray.data.stored import open_folder, open_stored
from impray.spec.data import Arrays, Idx, Imagenet32
from impray.spec.errors import DataError, StorageError

# --- elsewhere ---


def test_uris_are_read_through_pyarrow_and_leave_no_copy(there, cache):
    train, held_out = files.idx(there, compressed=True)
    data = open_stored(Idx(path=there.as_uri()))
    assert_holds(data, train, held_out, 10)
    assert [path for path in cache.rglob("*") if "source" in path.name] == []
    train, held_out, _ = files.imagenet32(there, "mixed")
    assert_holds(open_stored(Imagenet32(path=there.as_uri() + "/")), train, held_out, 1000)
    (path, _, *train), (other, _, *held_out) = files.arrays(there), files.arrays(there / "other", seed=1)
    spec = Arrays(path=path.as_uri(), held_out_path=other.as_uri(), shape=(2, 3), class_count=3)
    assert_holds(open_stored(spec), train, held_out, 3)


def test_uris_that_lead_nowhere_are_told_without_their_secrets(there, monkeypatch):
    assert f"{there.as_uri()}: there is no such folder" in told(Idx(path=there.as_uri()))
    assert "ftp://host/folder: cannot be reached" in told(Idx(path="ftp://host/folder"))
    with pytest.raises(ValidationError) as refused:
        Idx(path="ftp://me:secret@host/folder?key=secret")
    assert "secret" not in str(refused.value)


# --- once ---


def test_a_second_opening_converts_nothing_and_reads_only_the_ends_of_sources(there, monkeypatch):
    files.idx(there, counts=(3000, 7))
    first = open_stored(Idx(path=str(there)))
    monkeypatch.setattr(stored, "_convert", None)
    monkeypatch.setattr(stored, "_END", 2**20)
    second = open_stored(Idx(path=str(there)))
    assert second.folder == first.folder and np.array_equal(second.train.inputs, first.train.inputs)
    shutil.rmtree(there)
    assert np.array_equal(open_folder(first.folder).train.labels, first.train.labels)


def test_a_changed_source_has_another_fingerprint(there):
    files.idx(there)
    path = there / "t10k-labels-idx1-ubyte"
    prints = [open_stored(Idx(path=str(there))).fingerprint]
    content = bytearray(path.read_bytes())
    content[-1] = (content[-1] + 1) % 10
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    changed = open_stored(Idx(path=str(there)))
    prints.append(changed.fingerprint)
    os.utime(path, ns=(0, 0))
    prints.append(open_stored(Idx(path=str(there))).fingerprint)
    assert len(set(prints)) == 3 and changed.held_out.labels[-1] == content[-1]
    moved = there.rename(there.with_name("elsewhere"))
    assert open_stored(Idx(path=str(moved))).fingerprint == prints[-1]


def test_a_source_that_changes_while_it_is_read_is_told(there, monkeypatch):
    files.idx(there)
    fill = stored._fill

    def meanwhile(*arguments):
        fill(*arguments)
        os.utime(there / "t10k-labels-idx1-ubyte", ns=(0, 0))

    monkeypatch.setattr(stored, "_fill", meanwhile)
    assert "changed while it was read; run this again" in told(Idx(path=str(there)))


def test_what_was_converted_is_told_in_complete_json(there):
    files.idx(there)
    data = open_stored(Idx(path=str(there)))
    said = json.loads((data.folder / "complete.json").read_text())
    assert said["images"] == {"train": 12, "held_out": 7} and said["fingerprint"] == data.fingerprint
    assert [Path(source["file"]).name for source in said["sources"]][:1] == ["train-images-idx3-ubyte"]
    assert said["files"]["train_inputs.bin"] == 12 * 784


def test_a_data_set_that_lost_a_file_is_converted_again(there):
    train, held_out = files.idx(there)
    for name in ("complete.json", "mean.npy", "train_inputs.bin"):
        folder = open_stored(Idx(path=str(there))).folder
        os.truncate(folder / name, 1)
        with pytest.raises(DataError, match="holds no whole converted data set"):
            open_folder(folder)
        assert_holds(open_stored(Idx(path=str(there))), train, held_out, 10)


CHILD = """
import sys, time, types
from pathlib import Path
import impray
package = types.ModuleType("impray.data")  # its own first words import torch: seconds, for nothing here
package.__path__ = [str(Path(impray.__file__).parent / "data")]
sys.modules["impray.data"] = package
from impray.data import stored
from impray.spec.data import Imagenet32

there, log, slow = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
convert, carry = stored._convert, stored._carry

def logged(*arguments):
    with log.open("a") as file:
        file.write("converted ")
    convert(*arguments)

def slowly(*arguments, **named):
    carry(*arguments, **named)
    time.sleep(slow)

stored._convert, stored._carry = logged, slowly
print(stored.open_stored(Imagenet32(path=str(there))).train.inputs.sum())
"""


def child(there, log, slow):
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    command = [sys.executable, "-c", CHILD, str(there), str(log), str(slow)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_processes_that_open_at_once_convert_once(there, tmp_path):
    (x, _), *_ = files.imagenet32(there)
    log = tmp_path / "log"
    children = [child(there, log, 0.03) for _ in range(2)]
    assert [int(each.communicate()[0]) for each in children] == [int(x.sum())] * 2
    assert log.read_text() == "converted "


def test_a_killed_conversion_leaves_nothing_that_looks_whole(there, tmp_path, cache):
    train, held_out, _ = files.imagenet32(there)
    killed = child(there, tmp_path / "log", 30)
    until = time.monotonic() + 60
    while not list(cache.glob("*.unfinished/train_inputs.bin")) and time.monotonic() < until:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    (left,) = cache.glob("*.unfinished")
    assert (left / "train_inputs.bin").stat().st_size > 0 and not (left / "complete.json").exists()
    assert [path for path in cache.iterdir() if path.suffix not in (".unfinished", ".lock")] == []
    assert_holds(open_stored(Imagenet32(path=str(there))), train, held_out, 1000)
    assert not left.exists()


def test_a_read_only_cache_serves_what_is_in_it_and_names_the_variable_otherwise(there, cache, monkeypatch):
    files.idx(there)
    open_stored(Idx(path=str(there)))
    in_the_way = cache / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("IMPRAY_CACHE", str(in_the_way / "cache"))
    with pytest.raises(StorageError, match="IMPRAY_CACHE"):
        open_stored(Idx(path=str(there)))


def test_a_full_disk_is_told_and_leaves_nothing(there, cache, monkeypatch):
    files.idx(there)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stored._Made, "_append", full)
    with pytest.raises(StorageError, match="No space left on device.*free some space"):
        open_stored(Idx(path=str(there)))
    assert [path.suffix for path in cache.iterdir()] == [".lock"]


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    assert stored.cache() == tmp_path / "cache"
    monkeypatch.delenv("IMPRAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert stored.cache() == Path("/xdg/impray")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert stored.cache() == Path("/home/me/.cache/impray")


@pytest.mark.parametrize("inputs", [1, 784, 3072, 2**23])
def test_portions_cover_all_rows_and_keep_sums_of_squared_bytes_below_32_bits(inputs):
    parts = list(portions(100_000, inputs)) if inputs < 2**23 else list(portions(3, inputs))
    assert parts[0].start == 0 and all(one.stop == other.start for one, other in zip(parts, parts[1:], strict=False))
    assert all((part.stop - part.start) * 255**2 < 2**32 for part in parts) and MOST_ROWS * 255**2 < 2**32
    assert all((part.stop - part.start) * inputs <= max(NUMBERS, inputs) for part in parts)
