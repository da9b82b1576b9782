"""The curve is whole although the training was interrupted."""

from stillhouse.training.curve import Curve
from stillhouse.training.progress import Progress


def test_a_resumed_curve_has_every_epoch_once(tmp_path):
    seen = []
    progress = Progress(tmp_path)
    first = Curve(seen.append, progress)
    first({"epoch": 1, "epochs": 3, "loss": 3.0})
    progress.save()
    first({"epoch": 2, "epochs": 3, "loss": 2.0})
    progress = Progress(tmp_path)
    again = Curve(seen.append, progress)
    assert progress.restore()
    again({"epoch": 2, "epochs": 3, "loss": 2.5, "valid_accuracy": 0.5})
    again({"epoch": 3, "epochs": 3, "loss": 1.0, "valid_accuracy": 0.7})
    again.write(tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text().split() == ["epoch,loss,valid_accuracy", "1,3.0,", "2,2.5,0.5", "3,1.0,0.7"]
    assert [record["epoch"] for record in seen] == [1, 2, 2, 3]
