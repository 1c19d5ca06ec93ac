"""Models on the Hugging Face Hub; a stand-in takes the place of its library, or of the network."""

import http.server
import importlib
import json
import sys
import threading

import pytest
from click.testing import CliRunner
from helpers import make_model, noise
from hub_stand_in import COMMITS, stand_in

from napari_pix2pix import list_models, load
from napari_pix2pix.cli import main
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.hub import fetch_model, is_hub_name, list_hub
from napari_pix2pix.training.model_card import model_card


@pytest.fixture
def hub(tmp_path, monkeypatch):
    return stand_in(tmp_path, monkeypatch)


def test_model_is_fetched_at_the_commit_that_is_meant(hub):
    newest, first = load("hf:lab/nuclei"), load("hf:lab/nuclei@v1")
    assert newest.digest != first.digest
    assert hub.fetched == [("lab/nuclei", "nuclei.safetensors", COMMITS[v]) for v in (None, "v1")]
    assert "From hf:lab/nuclei@4567ef00." in first.card()


def test_commit_stays_in_a_saved_copy(hub):
    load("hf:lab/nuclei").save(hub.folder / "copy.safetensors")
    again = load(hub.folder / "copy.safetensors")
    assert again.info.origin == "hf:lab/nuclei@0123abcd"


def test_one_of_several_models_is_named(hub):
    hub.names.append("others.safetensors")
    with pytest.raises(FileError, match="holds several models: name one"):
        fetch_model("hf:lab/nuclei")
    found = fetch_model("hf:lab/nuclei/nuclei.safetensors@v1")
    assert found.origin == "hf:lab/nuclei/nuclei.safetensors@4567ef00"
    with pytest.raises(FileError, match="no safetensors file of its repository"):
        fetch_model("hf:lab/nuclei/README.md")


def test_nothing_but_safetensors_is_fetched(hub):
    hub.names[:] = ["pytorch_model.bin", "model.onnx"]
    with pytest.raises(FileError, match="holds no safetensors file"):
        fetch_model("hf:lab/nuclei")
    assert not hub.fetched


def test_what_the_hub_does_not_have_is_named(hub):
    with pytest.raises(FileError, match=r"hf:lab/other can't be fetched \(404 Client Error\)"):
        fetch_model("hf:lab/other")


@pytest.mark.parametrize("name", ["hf:nuclei", "hf:", "hf:lab/nuclei@", "hf:lab/nuclei:main"])
def test_other_names_are_refused(name, hub):
    with pytest.raises(InputError, match="is named hf:owner/name"):
        fetch_model(name)


def test_paths_are_no_names_on_the_hub(tmp_path):
    assert not is_hub_name(tmp_path / "hf:lab")
    assert not is_hub_name("models/nuclei.safetensors")


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(FileError, match=r"napari-pix2pix\[hub\]"):
        fetch_model("hf:lab/nuclei")


COMMIT = "0123abcd" * 5


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the Hub does, for one repository, and remembers the bytes that it sent."""

    files: dict[str, bytes]
    sent: list[int]

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def log_message(self, *_):
        pass

    def _answer(self, *, with_body):
        path = self.path.partition("?")[0]
        about = "/api/models/lab/stains"
        if path in (about, f"{about}/revision/v1", f"{about}/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in self.files]
            body = json.dumps({"id": "lab/stains", "sha": COMMIT, "siblings": siblings}).encode()
            self._send(200, body, with_body)
            return
        name = path.removeprefix(f"/lab/stains/resolve/{COMMIT}/")
        if name not in self.files:
            self._send(404, b"", with_body)
            return
        body, asked = self.files[name], self.headers.get("Range", "")
        if asked:
            first, last = asked.removeprefix("bytes=").split("-")
            body = body[int(first) : int(last or len(body)) + 1]
        if with_body:
            self.sent.append(len(body))
        self._send(206 if asked else 200, body, with_body, {"ETag": f'"{name}"'})

    def _send(self, status, body, with_body, more=None):
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **(more or {})}
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """What the library of the Hub finds on a server of this machine.

    A repository with a model, one in a folder, one of another program and a damaged one.
    """
    library = pytest.importorskip("huggingface_hub", reason="needs the extra hub")
    constants = importlib.import_module("huggingface_hub.constants")
    image = noise(64, 64)
    make_model(image, 1 - image, width=16).save(tmp_path / "dapi.safetensors")
    content = (tmp_path / "dapi.safetensors").read_bytes()
    other = json.dumps({"__metadata__": {"format": "pt"}}).encode()
    _Handler.files = {
        "README.md": b"# Stains",
        "dapi.safetensors": content,
        "more/map2.safetensors": content,
        "more/other.safetensors": len(other).to_bytes(8, "little") + other,
        "more/bad.safetensors": b"\xff" * 40,
    }
    _Handler.sent = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield _Handler
    library.close_session()
    server.shutdown()
    server.server_close()


def test_models_of_a_repository_are_listed_by_their_headers(served):
    listed = {model.path.as_posix(): model for model in list_models("hf:lab/stains@v1")}
    assert list(listed) == [
        f"hf:lab/stains/{name}@{COMMIT}"
        for name in sorted(served.files)
        if name.endswith(".safetensors")
    ]
    good, bad, _, other = listed.values()
    assert bad.info is None
    assert "of another program" in other.problem
    assert str(good).startswith("Translates 32-bit floating point images into")
    assert max(served.sent) <= 100_001  # the first bytes, and not the weights


def test_a_listed_model_can_be_loaded(served):
    [listed] = list_models("hf:lab/stains/dapi.safetensors")
    model = load(listed.path)
    assert model.card() == model_card(listed.info)
    assert model.info.origin == f"hf:lab/stains/dapi.safetensors@{COMMIT}"


def test_a_folder_of_a_repository_is_listed(served):
    names = [listing.name for listing in list_hub("hf:lab/stains/more")]
    files = [f"hf:lab/stains/more/{name}.safetensors@{COMMIT}" for name in ("bad", "map2", "other")]
    assert names == files
    with pytest.raises(FileError, match="holds no safetensors file"):
        list_hub("hf:lab/stains/les")


def test_the_shell_lists_several_models_and_describes_a_single_one(served):
    several = CliRunner().invoke(main, ["info", "hf:lab/stains"])
    assert several.exit_code == 0, several.stderr
    assert len(several.stdout.splitlines()) == 4
    one = CliRunner().invoke(main, ["info", "hf:lab/stains/dapi.safetensors"])
    assert f"From hf:lab/stains/dapi.safetensors@{COMMIT}." in one.stdout
    assert "Held-out" in one.stdout or "No scores" in one.stdout
