from __future__ import annotations

import pytest
import torch

from engine.errors import ExecutionError
from engine.gpu_memory import CONTEXT_BYTES, hold_memory_to, memory_fraction

CARD = 24_000_000_000


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 1.0])
def test_what_torch_may_take_and_the_context_are_together_the_share(share: float) -> None:
    assert memory_fraction(share, CARD) * CARD + CONTEXT_BYTES == pytest.approx(share * CARD)


def test_shares_of_one_card_leave_room_for_all_contexts() -> None:
    taken = sum(memory_fraction(share, CARD) * CARD for share in (0.3, 0.2, 0.5))
    assert taken + 3 * CONTEXT_BYTES <= CARD


def test_share_below_the_context_is_refused_with_the_setting_to_raise() -> None:
    with pytest.raises(ExecutionError, match=r"0\.02 of this GPU is 0\.5 GB.*DECODER_GPU"):
        memory_fraction(0.02, CARD)


def test_torch_is_told_the_fraction_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    # No card here: that torch is called, and with what, is all that can be seen.
    told = []
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: type("Card", (), {"total_memory": CARD})
    )
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *args: told.append(args))
    hold_memory_to(0.5)
    assert told == [(memory_fraction(0.5, CARD), 0)]
