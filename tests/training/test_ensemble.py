"""Several networks as one teacher: how answers become one, what is kept of the members, and a student that teaches in turn."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.space import cost
from stillhouse.space.blueprint import groups_of
from stillhouse.stages.teach import TeachSettings, teach
from stillhouse.training import checkpoint
from stillhouse.training.ensemble import EnsembleSettings, mean, surest
from stillhouse.training.given import digest
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from tests.space.cutting import random_architecture
from tests.workloads.pictures.classify.raws import DIGITS

SIZES = {"channels": 1, "height": 8, "width": 8, "classes": 10}
IMAGE = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.tensor([[[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]], [[0.4, 0.4, 0.2], [0.0, 0.1, 0.9]]], dtype=torch.float64)
"""Of two members, each for two rows."""


def settings(model: Any) -> Any:
    return TypeAdapter(WORKLOAD.model_settings).validate_python(model)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """A whole network and a student cut out of it, as members."""
    members = []
    for name, shape in (("first", {"width": 4, "blocks": [1, 1]}), ("second", {"width": 6, "blocks": [2]})):
        torch.manual_seed(len(members))
        model = settings({"family": "resnet", "stem": "small", **shape})
        kept = random_architecture(groups_of(WORKLOAD.model(model, SIZES, None)), torch.Generator().manual_seed(0)) if members else None
        network, folder = WORKLOAD.model(model, SIZES, kept), tmp_path_factory.mktemp("models") / name
        record = {"model": model.model_dump(mode="json"), "sizes": SIZES, "architecture": kept and kept.kept, "losses": []}
        checkpoint.write_model(folder, network.state_dict(), record)
        members.append({"path": str(folder), "sha256": digest(folder / "model.safetensors")})
    return members


def answers(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.eval()(IMAGE).prediction
    return found


def test_the_mean_is_of_probabilities_and_not_of_logits() -> None:
    assert mean(ROWS.log(), ()).exp()[0].tolist() == pytest.approx([0.6, 0.25, 0.15])
    assert mean(ROWS.log(), (1, 3)).exp()[0].tolist() == pytest.approx([0.5, 0.325, 0.175])
    torch.testing.assert_close(mean(ROWS.log(), (2, 6)), mean(ROWS.log(), (1, 3)))


def test_each_row_has_the_answer_of_its_surest_member() -> None:
    torch.testing.assert_close(surest(ROWS.log()).exp(), torch.stack((ROWS[0, 0], ROWS[1, 1])))
    assert torch.equal(surest(ROWS[:1].log()), ROWS[0].log())


@pytest.mark.parametrize("choose", ["mean", "confidence"])
def test_an_ensemble_answers_as_its_members_do_together_and_is_read_back_without_them(trained, choose, tmp_path) -> None:
    wanted = torch.stack([answers(checkpoint.read_model(WORKLOAD, Path(member["path"]))) for member in trained]).log_softmax(-1)
    block = settings({"family": "ensemble", "members": trained, "choose": choose})
    model = WORKLOAD.model(block, SIZES, None)
    torch.testing.assert_close(answers(model), mean(wanted, ()) if choose == "mean" else surest(wanted))
    record = {"model": block.model_dump(mode="json"), "sizes": SIZES, "architecture": None}
    assert trained[0]["path"] not in str(record)
    checkpoint.write_model(tmp_path / "teacher", model.state_dict(), record)
    assert torch.equal(answers(checkpoint.read_model(WORKLOAD, tmp_path / "teacher")), answers(model))
    assert list(model(IMAGE).features) == ["0.stage1", "0.stage2", "0.state", "1.stage1", "1.state"]
    members = [checkpoint.read_model(WORKLOAD, Path(member["path"])) for member in trained]
    macs = [cost.total(cost.macs(each, lambda each=each: each(IMAGE))) for each in (model, *members)]
    assert (groups_of(model), macs[0]) == ((), sum(macs[1:]))


def test_a_student_alone_teaches_as_it_is_with_nothing_trained(trained, tmp_path) -> None:
    prepare(PrepareSettings(), DIGITS, tmp_path / "prepared", torch.Generator().manual_seed(0))
    block = TeachSettings(model=settings({"family": "ensemble", "members": trained[1:]}), data=WORKLOAD.data_settings())
    given: dict[str, Any] = {"prepared": tmp_path / "prepared", "rng": torch.Generator(), "log": lambda record: None}
    metrics = teach(block, WORKLOAD, **given, teacher=tmp_path / "teacher")
    student, model = (checkpoint.read_model(WORKLOAD, path) for path in (Path(trained[1]["path"]), tmp_path / "teacher"))
    assert torch.equal(answers(model), answers(student))
    assert list(model(IMAGE).features) == ["stage1", "state"]
    assert 0 <= metrics["valid_accuracy"] < 0.5


def test_members_are_held_to_their_hash_and_their_data(trained, tmp_path) -> None:
    with pytest.raises(ValidationError, match=rf"the weights that are meant: .*{trained[0]['sha256']}"):
        EnsembleSettings(members=[{"path": trained[0]["path"], "sha256": "ask"}])
    other = settings({"family": "ensemble", "members": [{"path": trained[0]["path"], "sha256": trained[1]["sha256"]}]})
    with pytest.raises(
        UserError, match=rf"wanted the weights {trained[1]['sha256']} - got {trained[0]['sha256']}: name this hash, or make"
    ):
        WORKLOAD.model(other, SIZES, None)
    with pytest.raises(UserError, match=r"wanted a network for data of .*'classes': 3.* it is for .*'classes': 10"):
        WORKLOAD.model(settings({"family": "ensemble", "members": trained}), SIZES | {"classes": 3}, None)
    later = settings({"family": "ensemble", "members": [str(tmp_path / "later")]})
    with pytest.raises(UserError, match=r"later - wanted the folder of a trained network, .* trains it, and then says its hash$"):
        WORKLOAD.model(later, SIZES, None)


def test_a_fingerprint_is_the_same_where_the_folders_are_not_there(trained, tmp_path) -> None:
    away = [member | {"path": str(tmp_path / "away")} for member in trained]
    told, wanted = (settings({"family": "ensemble", "members": members}) for members in (trained, away))
    found = [TeachSettings(model=block, data=None).model_dump(mode="json", context={"fingerprint": True}) for block in (told, wanted)]
    assert found[0] == found[1]
    assert found[0]["model"]["members"] == [{"sha256": member["sha256"]} for member in trained]


@pytest.mark.parametrize("block", [{"weights": [1.0]}, {"weights": [1.0, 2.0], "choose": "confidence"}])
def test_weights_are_one_a_member_of_a_mean(trained, block) -> None:
    with pytest.raises(ValidationError, match="weights should be 2, one a member, of a mean"):
        EnsembleSettings(members=trained, **block)


def test_a_network_that_is_not_trained_yet_wants_to_be() -> None:
    with pytest.raises(ValidationError, match="how the network is trained"):
        TeachSettings(model=settings({"family": "resnet"}), data=None, fit=None)


@pytest.mark.parametrize(("text", "told"), [("{}", "model.json has no model, sizes, architecture"), ("[", r"model.json:1 - wanted JSON")])
def test_a_folder_of_something_else_is_no_member(trained, text, told, tmp_path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ValidationError, match=told):
        EnsembleSettings(members=[{"path": str(tmp_path), "sha256": digest(tmp_path / "model.safetensors")}])
    with pytest.raises(ValidationError, match="should name the path of a trained network, such as data/NAME/teacher"):
        EnsembleSettings(members=[{"sha256": trained[0]["sha256"]}])


def test_a_network_of_another_workload_is_no_member(trained) -> None:
    block = settings({"family": "ensemble", "members": trained[:1]})
    record = block.members[0].record | {"model": {"family": "pspnet"}}
    other = block.model_copy(update={"members": (block.members[0].model_copy(update={"record": record}),)})
    with pytest.raises(UserError, match="first - wanted a network of this workload - got one of the family 'pspnet'"):
        WORKLOAD.model(other, SIZES, None)


def test_a_network_of_other_data_of_the_same_sizes_is_no_member(trained, tmp_path) -> None:
    prepare(PrepareSettings(), DIGITS, tmp_path / "prepared", torch.Generator().manual_seed(0))
    shutil.copytree(trained[1]["path"], tmp_path / "member")
    member = trained[1] | {"path": str(tmp_path / "member")}
    facts = (tmp_path / "prepared/facts.json").read_text()
    given: dict[str, Any] = {"prepared": tmp_path / "prepared", "rng": torch.Generator(), "log": lambda record: None}
    block = TeachSettings(model=settings({"family": "ensemble", "members": [member]}), data=WORKLOAD.data_settings())
    (tmp_path / "member/context").mkdir()
    for text in (facts, facts.replace("0", "1")):
        (tmp_path / "member/context/facts.json").write_text(text)
        (tmp_path / "member/context/workload.json").write_text('{\n "workload": "classify"\n}\n')
        if text == facts:
            teach(block, WORKLOAD, **given, teacher=tmp_path / "teacher")
            continue
        with pytest.raises(UserError, match=r"member - wanted a network trained on these data - .* as .*facts.json says: give both"):
            teach(block, WORKLOAD, **given, teacher=tmp_path / "other")
