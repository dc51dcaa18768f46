"""What is no file of weights is said truly, and nothing in a file is run."""

import argparse
import collections
import os
import random
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from influence_lib.errors import InputError
from influence_lib.pretrain import load_checkpoint
from tests.pretrain.test_foreign import under


def refused(path):
    with pytest.raises(InputError) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def files(tmp_path):
    """Return a valid file in each format."""
    content = {"state_dict": under("backbone.")}
    torch.save(content, tmp_path / "zip.ckpt")
    torch.save(content, tmp_path / "legacy.ckpt", _use_new_zipfile_serialization=False)
    save_file(under("backbone."), tmp_path / "tensors.safetensors")
    return [tmp_path / name for name in ("zip.ckpt", "legacy.ckpt", "tensors.safetensors")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"<html>Quota exceeded</html>", "is a web page"),
        (b"\xef\xbb\xbf\r\n <!DOCTYPE html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "pointer that Git LFS keeps"),
        (b"\x89PNG\r\n\x1a\n", "is neither safetensors nor a file of torch.save: it begins with"),
        (b'{"epoch": 3, "acc": 0.9}', "is neither safetensors nor a file of torch.save"),
        (b"PK\x03\x04", "is cut off or damaged"),
        (b"\x80\x02}q\x00.", "is cut off, damaged or no file of torch.save"),
        (b"\x80", "is cut off, damaged or no file of torch.save"),
        (b"\x10\0\0\0\0\0\0\0{", "is damaged, cut off or no safetensors file"),
    ],
)
@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_other_files_are_called_what_they_are(tmp_path, content, sentence, suffix):
    file = tmp_path / f"last{suffix}"
    file.write_bytes(content)
    said = refused(file)
    assert sentence in said
    assert "more than tensors" not in said


def test_archives_of_something_else_are_called_that(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.ones(3))
    assert "is a zip archive that torch.save did not write; its first entry is 'a.npy'" in refused(
        tmp_path / "weights.npz"
    )
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:  # what torch.jit.save writes
        for name in ("program/data.pkl", "program/code/__torch__.py", "program/constants.pkl"):
            archive.writestr(name, "")
    assert "is a TorchScript program" in refused(tmp_path / "program.pt")


def test_truncated_and_damaged_files_are_a_sentence(files):
    for file in files:
        whole = file.read_bytes()
        for part in (0.001, 0.1, 0.5, 0.99):
            file.write_bytes(whole[: max(1, int(len(whole) * part))])
            refused(file)
        file.write_bytes(whole[:-1])
        refused(file)


def test_a_changed_bit_in_an_archive_is_found(files):
    file, weight = files[0], under("")["layer4.1.conv2.weight"]
    whole = bytearray(file.read_bytes())
    at = whole.find(weight.numpy().tobytes())
    assert at > 0
    whole[at + 7] ^= 64
    file.write_bytes(whole)
    assert "is damaged: the checksum of 'zip/data/" in refused(file)


def test_no_mutation_ends_in_a_traceback(files):
    rng = random.Random(0)
    for file in files:
        whole = file.read_bytes()
        for _ in range(40):
            mutated = bytearray(whole)
            for _ in range(rng.randint(1, 20)):
                mutated[rng.randrange(min(len(whole), 4000))] = rng.randrange(256)
            file.write_bytes(mutated)
            try:
                load_checkpoint(file, stem_padding=2)
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017 - most, not all of them, are errors


class Runs:
    def __reduce__(self):
        return (os.system, ("touch ran",))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (collections.defaultdict(int), "collections.defaultdict"),
        (np.float64(1), "numpy"),
        (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        (Runs(), "system"),
    ],
)
@pytest.mark.parametrize("as_zip", [True, False])
def test_objects_are_named_and_not_made(tmp_path, monkeypatch, value, name, as_zip):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": under("backbone."), "more": value}, "last.ckpt", _use_new_zipfile_serialization=as_zip)
    said = refused("last.ckpt")
    assert "holds more than tensors (" in said
    assert name in said
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_plain_values_beside_the_weights_are_read(tmp_path):
    torch.save({"state_dict": under("backbone."), "hyper_parameters": {"lr": 1.0}}, tmp_path / "last.ckpt")
    expected = under("backbone.")["backbone.conv1.weight"]
    assert torch.equal(load_checkpoint(tmp_path / "last.ckpt").backbone.conv1.weight, expected)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="an administrator may read everything")
def test_a_file_without_permission_is_named(files):
    files[0].chmod(0)
    assert "cannot be read (Permission denied)" in refused(files[0])


def test_an_error_of_the_disk_is_named(files, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", denied)
    assert "cannot be read (Permission denied)" in refused(files[0])
