"""Scores of translations with the signatures that say what they are (Post 2018, "A call for clarity in reporting BLEU")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chtexp.errors import UserError


@dataclass(frozen=True)
class TranslationScores:
    """Corpus scores of translations, in 0..100, each with the signature that says how it was computed.

    Attributes:
        bleu: of detokenised text, which sacrebleu tokenises (13a); comparable across papers.
        bleu_signature: of `bleu`.
        pipeline_bleu: of lower-cased, Moses-tokenised text, as the paper's IWSLT14 pipeline computes it; comparable with the
            paper's tables only.
        pipeline_bleu_signature: of `pipeline_bleu`.
        chrf: the character F-score of detokenised text.
        chrf_signature: of `chrf`.
    """

    bleu: float
    bleu_signature: str
    pipeline_bleu: float
    pipeline_bleu_signature: str
    chrf: float
    chrf_signature: str


def score(
    hypotheses: Sequence[str],
    references: Sequence[str],
    hypotheses_pipeline: Sequence[str],
    references_pipeline: Sequence[str],
    *,
    lower_case: bool = False,
) -> TranslationScores:
    """Score translations, one hypothesis against one reference a sentence.

    Args:
        hypotheses: the translations, as detokenised text.
        references: of the same sentences, as detokenised text.
        hypotheses_pipeline: the translations Moses-tokenised, tokens separated by spaces; case is ignored.
        references_pipeline: the references likewise.
        lower_case: whether the standard scores ignore case, too, as they must where the data are lower-cased. Their signatures
            say so.

    Returns:
        The scores.

    Raises:
        UserError: no sentence, or lists of different lengths.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    sizes = [len(texts) for texts in (hypotheses, references, hypotheses_pipeline, references_pipeline)]
    if len(set(sizes)) > 1 or not sizes[0]:
        raise UserError(
            "a score needs as many hypotheses as references, at least one, plain and in the pipeline's form; "
            f"got {sizes[0]}, {sizes[1]}, {sizes[2]} and {sizes[3]}"
        )
    bleu, chrf = BLEU(lowercase=lower_case), CHRF(lowercase=lower_case)
    pipeline = BLEU(tokenize="none", lowercase=True, force=True)  # force: the text is tokenised on purpose
    # one set of references, as long as the hypotheses
    reference_sets, pipeline_sets = [references], [references_pipeline]
    return TranslationScores(
        bleu=bleu.corpus_score(hypotheses, reference_sets).score,
        bleu_signature=str(bleu.get_signature()),
        pipeline_bleu=pipeline.corpus_score(hypotheses_pipeline, pipeline_sets).score,
        pipeline_bleu_signature=str(pipeline.get_signature()),
        chrf=chrf.corpus_score(hypotheses, reference_sets).score,
        chrf_signature=str(chrf.get_signature()),
    )
