"""The harness and the hub behind it do not chatter, and a hub that is down is asked once."""

from __future__ import annotations

import subprocess
import sys

import datasets
import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled

from chtexp.trained.harness import go_offline, quietly


def test_what_libraries_print_is_hidden_where_nobody_looks(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with quietly():
        print("a bar", file=sys.stderr)
        subprocess.run([sys.executable, "-c", "import sys; print('a program', file=sys.stderr)"], check=True)
    print("a word of ours", file=sys.stderr)
    assert capfd.readouterr().err == "a word of ours\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with quietly():
        print("a bar", file=sys.stderr)
    assert capfd.readouterr().err == "a bar\n"


def test_what_fails_quietly_is_raised_and_heard_again(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), quietly():
        1 / 0  # noqa: B018
    print("a word of ours", file=sys.stderr)
    assert capfd.readouterr().err == "a word of ours\n"


def test_a_hub_that_is_down_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    go_offline()
    assert datasets.config.HF_HUB_OFFLINE
    with pytest.raises(OfflineModeIsEnabled):
        huggingface_hub.get_session().head("https://example.invalid")
