import json

from napari_pix2pix.io.locks import locked


def test_recipes_are_compared_in_a_shell(files, tmp_path, invoke, succeed, sentence, tiny):
    out = tmp_path / "found"
    result = json.loads(
        succeed("compare", *files, "-o", out, "--recipes L1,L1+cGAN --json", tiny).stdout
    )
    assert list(result["recipes"]) == ["L1", "L1+cGAN"]
    names = {"report.html", "scores.csv", "L1.safetensors", "L1_cGAN.safetensors"}
    assert {path.name for path in out.iterdir()} == names
    assert "exists" in sentence(invoke("compare", *files, "-o", out, tiny))
    wrong = invoke("compare", *files, "-o", out, "--recipes L1,L7", tiny)
    assert "There is no recipe 'L7'" in sentence(wrong)


def test_a_comparison_replaces_nothing_that_is_read(files, tmp_path, invoke, sentence, tiny):
    table = tmp_path / "scores.csv"
    table.write_text("source,target\n{},{}\n".format(*files))
    before = table.read_bytes()
    refused = invoke("compare --pairs", table, "-o", tmp_path, "--overwrite", tiny)
    assert f"{table} is read by this very run" in sentence(refused)
    assert table.read_bytes() == before


def test_one_comparison_writes_a_folder_at_a_time(files, tmp_path, invoke, sentence, tiny):
    with locked(tmp_path / "report.html"):
        refused = sentence(invoke("compare", *files, "-o", tmp_path, tiny))
    assert "report.html is being written by another run" in refused
    assert list(tmp_path.iterdir()) == []
