"""A stand-in for the library of the Hugging Face Hub, and for the network."""

import sys
from types import ModuleType, SimpleNamespace

from helpers import make_model, noise

COMMITS = {None: "0123abcd", "v1": "4567ef00"}


def stand_in(tmp_path, monkeypatch) -> SimpleNamespace:
    """Return a repository with a model at two commits, in a folder from which it is fetched."""
    image = noise(64, 64)
    for seed, commit in enumerate(COMMITS.values()):
        (tmp_path / commit).mkdir()
        make_model(image, 1 - image, seed=seed).save(tmp_path / commit / "nuclei.safetensors")
    module, names, fetched = ModuleType("huggingface_hub"), ["README.md", "nuclei.safetensors"], []

    class HfApi:
        def model_info(self, repository, revision):
            if repository != "lab/nuclei":
                raise OSError("404 Client Error")
            siblings = [SimpleNamespace(rfilename=name) for name in names]
            return SimpleNamespace(sha=COMMITS[revision], siblings=siblings)

    def hf_hub_download(repository, file, revision):
        fetched.append((repository, file, revision))
        return str(tmp_path / revision / file)

    module.HfApi, module.hf_hub_download = HfApi, hf_hub_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return SimpleNamespace(names=names, fetched=fetched, folder=tmp_path)
