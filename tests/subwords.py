"""The usual preparation of Multi30k: joint sub-words of lower-cased Moses tokens, one embedding for all."""

SUBWORDS = (
    "data.units=subwords", "data.tokenisation=moses", "data.lower_case=true", "data.merges=60", "model.embeddings=shared",
)  # fmt: skip
