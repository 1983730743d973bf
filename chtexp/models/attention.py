"""Where a translation looks at its source.

Shapes: B batch, S source tokens, T target tokens, H heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.functional import pad

if TYPE_CHECKING:
    from transformers import PegasusForConditionalGeneration


def source_attention(model: PegasusForConditionalGeneration, source_BS: Tensor, target_BT: Tensor) -> Tensor:
    """Compute how much the last decoder layer attends to every source token where it predicts a target token.

    The mean over its heads [choice: OpenNMT takes the first head alone]. The model is left as it was, and should be in evaluation
    mode.

    Args:
        model: the network.
        source_BS: int64 [B, S], token ids, padded at their ends.
        target_BT: int64 [B, T], token ids, padded at their ends.

    Returns:
        [B, T, S]; rows sum to 1.
    """
    config = model.config
    inputs_BT = pad(target_BT[:, :-1], (1, 0), value=config.decoder_start_token_id)
    fast = config._attn_implementation
    model.set_attn_implementation("eager")  # the fast ones keep no weights
    try:
        seen = model(
            input_ids=source_BS,
            attention_mask=(source_BS != config.pad_token_id).long(),
            decoder_input_ids=inputs_BT,
            output_attentions=True,
            use_cache=False,
        )
    finally:
        model.set_attn_implementation(fast)
    attention_BHTS: Tensor = seen.cross_attentions[-1]
    return attention_BHTS.mean(1)
