from pathlib import Path

import huggingface_hub
import pytest

from influence_lib import data
from influence_lib.cli import main
from influence_lib.data.hub import download
from influence_lib.data.loading import data_root
from influence_lib.errors import InputError
from tests.data.conftest import encode, random_images, write_parquet


def run(*words: str) -> None:
    assert main(["data", *words]) == 0


@pytest.fixture
def hub(monkeypatch):
    """Replace the hub by a function that writes a small CIFAR-10, and return the calls it got."""
    calls = []

    def snapshot_download(repository: str, **arguments: object) -> None:
        calls.append((repository, arguments))
        for split in ("train", "test"):
            path = Path(str(arguments["local_dir"])) / f"plain_text/{split}-00000-of-00001.parquet"
            write_parquet(path, [encode(image) for image in random_images(10)], label=list(range(10)))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return calls


def test_get_downloads_once(tmp_path, hub, capsys):
    for _ in range(2):
        run("get", "cifar10", "--root", str(tmp_path))
    assert capsys.readouterr().out == f"cifar10 is in {tmp_path / 'cifar10'}\n" * 2
    assert [call[0] for call in hub] == ["uoft-cs/cifar10"]
    assert hub[0][1]["repo_type"] == "dataset"
    assert hub[0][1]["allow_patterns"] == "plain_text/*.parquet"
    assert [path.name for path in tmp_path.iterdir()] == ["cifar10"]
    assert len(data.load("cifar10", root=tmp_path)) == 10


@pytest.mark.parametrize("error", [OSError("no network"), "http"])
def test_an_unreachable_hub_is_one_sentence(tmp_path, monkeypatch, error):
    def fail(*arguments: object, **more: object) -> None:
        raise huggingface_hub.errors.HTTPError("no network") if error == "http" else error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(
        InputError, match=r"uoft-cs/cifar10 could not be downloaded .*check the network.*\(no network\)"
    ):
        download("cifar10", tmp_path)
    assert not (tmp_path / "cifar10").exists()


def test_an_interrupted_download_leaves_no_set(tmp_path, monkeypatch):
    def interrupt(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(huggingface_hub, "snapshot_download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download("cifar10", tmp_path)
    assert not (tmp_path / "cifar10").exists()


def test_what_is_not_the_set_is_never_overwritten(tmp_path, hub):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10/mine.txt").write_text("precious")
    with pytest.raises(InputError, match="exists but does not hold all of cifar10"):
        download("cifar10", tmp_path)
    assert (tmp_path / "cifar10/mine.txt").read_text() == "precious"
    assert hub == []


def test_an_empty_answer_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: None)
    with pytest.raises(InputError, match="holds no files of fairface"):
        download("fairface", tmp_path)
    with pytest.raises(InputError, match="name is 'controlled'"):
        download("controlled", tmp_path)


def test_list_says_what_is_there(cifar10, capsys):
    run("list", "--root", str(cifar10))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"folder of image sets: {cifar10}"
    assert lines[2].split()[:3] == ["controlled", "train", "5,000"]
    assert lines[4].split() == ["cifar10", "train", "40", str(cifar10 / "cifar10")]
    assert lines[6].split(maxsplit=3) == [
        "cifar100",
        "train",
        "0",
        "missing: python -m influence_lib data get cifar100",
    ]


def test_list_shows_what_is_damaged(cifar10):
    (cifar10 / "cifar10/train-00000-of-00002.parquet").unlink()
    (cifar10 / "cifar10/test-00000-of-00001.parquet").write_bytes(b"nothing")
    sets = data.available(cifar10).query("name == 'cifar10'")
    assert sets["images"].tolist() == [0, 0]
    assert "lacks train-00000-of-00002.parquet" in sets["where"].iloc[0]
    assert "cannot be read as parquet" in sets["where"].iloc[1]


def test_the_root_is_the_argument_then_the_environment_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("INFLUENCE_DATA", str(tmp_path))
    assert data_root("elsewhere") == Path("elsewhere")
    assert data_root() == tmp_path
    monkeypatch.delenv("INFLUENCE_DATA")
    assert data_root() == Path.home() / ".cache/influence-ssl"


def test_describe_says_what_a_folder_is_taken_for(tmp_path, save_image, capsys):
    save_image(tmp_path / "cat/1.png")
    save_image(tmp_path / "dog/1.png")
    (tmp_path / "notes.txt").write_text("none")
    run("describe", str(tmp_path))
    assert capsys.readouterr().out.splitlines() == [
        "2 classes, 2 images, split train; 1 file passed over: notes.txt",
        "passed over: notes.txt",
    ]


def test_describe_reads_parquet_files(cifar10, capsys):
    run("describe", str(cifar10 / "cifar10"))
    assert capsys.readouterr().out == "10 classes, 40 images, split train (there is also test with 10)\n"
