"""GPU slots, with devices that are only names."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows import slots


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "FOLDER", tmp_path / "slots")
    monkeypatch.setattr(slots, "POLL", 0.01)


def test_two_stages_get_different_devices_and_a_third_waits():
    stop = Event()
    with slots.hold(1, ("0", "1"), stop) as first, ThreadPoolExecutor() as pool:
        with slots.hold(1, ("0", "1"), stop) as second:
            assert (first, second) == ({"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"})
            third = pool.submit(_enter_and_leave, stop)
            time.sleep(0.1)
            assert not third.done()
        assert third.result(timeout=60) == {"CUDA_VISIBLE_DEVICES": "1"}


def _enter_and_leave(stop):
    with slots.hold(1, ("0", "1"), stop) as held:
        return held


def test_all_or_nothing():
    stop = Event()
    with slots.hold(1, ("0", "1"), stop):
        stop.set()
        with slots.hold(2, ("0", "1"), stop) as none:
            assert none == {}
        with slots.hold(1, ("0", "1"), Event()) as free:
            assert free == {"CUDA_VISIBLE_DEVICES": "1"}, "the try for two left nothing locked"


def test_stages_that_want_two_of_three_devices_have_them_one_after_the_other():
    """None keeps the one that it could have while it waits for a second."""
    running, most = [], []

    def run(number):
        with slots.hold(2, ("0", "1", "2"), Event()) as held:
            running.append(number)
            most.append(len(running))
            time.sleep(0.03)
            running.remove(number)
            return len(held["CUDA_VISIBLE_DEVICES"].split(","))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4), timeout=60)) == [2, 2, 2, 2]
    assert max(most) == 1


def test_more_than_there_are_is_all_there_are():
    with slots.hold(4, ("3", "5"), Event()) as held:
        assert held == {"CUDA_VISIBLE_DEVICES": "3,5"}


def test_a_named_device_is_the_one_that_is_held_and_the_first_that_its_stage_sees(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda:1")
    assert slots.devices() == ("7",)
    with slots.hold(1, slots.devices(), Event()) as held:
        assert held == {"CUDA_VISIBLE_DEVICES": "7", "STILLHOUSE_DEVICE": "cuda"}
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda:2")
    with pytest.raises(UserError, match=r"^STILLHOUSE_DEVICE - wanted one of 2 CUDA devices, counted from 0 - got cuda:2$"):
        slots.devices()


@pytest.mark.parametrize(("device", "found"), [("cpu", ()), ("cuda", ("4", "7")), ("auto", ("4", "7"))])
def test_a_kind_of_device_is_all_of_its_kind(monkeypatch, device, found):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    monkeypatch.setenv("STILLHOUSE_DEVICE", device)
    assert slots.devices() == found


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:one", "CPU", ""])
def test_what_is_no_device_is_told_before_any_stage(monkeypatch, device):
    monkeypatch.setenv("STILLHOUSE_DEVICE", device)
    with pytest.raises(UserError, match=rf"^STILLHOUSE_DEVICE should be auto, cpu, cuda or cuda:<number> - got '{device}'$"):
        slots.devices()


@pytest.mark.parametrize(("wanted", "available"), [(0, ("0",)), (1, ())])
def test_without_a_wish_or_a_device_nothing_is_waited_for_or_changed(wanted, available):
    with slots.hold(wanted, available, Event()) as held:
        assert held == {}
    assert not slots.FOLDER.exists()


def test_the_kernel_frees_the_slot_of_a_killed_holder():
    code = (
        "import sys, time; from pathlib import Path; from threading import Event; from flows import slots\n"
        f"slots.FOLDER = Path({str(slots.FOLDER)!r})\n"
        "with slots.hold(1, ('0',), Event()): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    with slots.hold(1, ("0",), Event()) as held:
        assert held == {"CUDA_VISIBLE_DEVICES": "0"}


@pytest.mark.parametrize("trap", ["a link", "a file", "writable by all"])
def test_a_folder_that_another_user_may_have_put_there_is_refused(trap, tmp_path):
    if trap == "a link":
        (tmp_path / "elsewhere").mkdir()
        slots.FOLDER.symlink_to(tmp_path / "elsewhere")
    elif trap == "a file":
        slots.FOLDER.touch()
    else:
        slots.FOLDER.mkdir()
        slots.FOLDER.chmod(0o777)
    with pytest.raises(UserError, match="wanted a folder that is yours"), slots.hold(1, ("0",), Event()):
        pass


def test_a_link_in_the_place_of_a_lock_is_not_followed_and_no_file_is_emptied(tmp_path):
    slots.FOLDER.mkdir(mode=0o700)
    (tmp_path / "precious").write_text("content")
    (slots.FOLDER / "0.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match="device 0"), slots.hold(1, ("0",), Event()):
        pass
    assert (tmp_path / "precious").read_text() == "content"


def test_a_device_may_have_a_slash_in_its_name():
    with slots.hold(1, ("MIG-GPU-1/2/0",), Event()) as held:
        assert held == {"CUDA_VISIBLE_DEVICES": "MIG-GPU-1/2/0"}


def test_devices_are_those_the_environment_leaves(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert slots.devices() == ("2", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slots.devices() == ()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert len(slots.devices()) == sum(name.removeprefix("nvidia").isdigit() for name in os.listdir("/dev") if name.startswith("nvidia"))
