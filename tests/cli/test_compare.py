import json


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
