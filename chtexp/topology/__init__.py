"""Bipartite graphs as boolean masks: how they start, what they predict, what is drawn, what dies.

Pure functions of tensors. A mask is a bool tensor [O, I]: O outputs (rows, side U), I inputs (columns, side
V), True where there is a link. Source of the rules: Zhang et al., "Brain network science modelling of sparse
neural networks enables Transformers and LLMs to perform as fully connected", NeurIPS 2025,
https://arxiv.org/abs/2501.19107.
"""

from chtexp.topology.correlation import feature_correlation
from chtexp.topology.init import init_mask, link_budget, topology_names, topology_parameters
from chtexp.topology.link_prediction import CH_RULES, ch_scores
from chtexp.topology.percolation import Junction, anp, neuron_record, percolate
from chtexp.topology.selection import gumbel_top_k, sample_links, uniform_links

__all__ = [
    "CH_RULES",
    "Junction",
    "anp",
    "ch_scores",
    "feature_correlation",
    "gumbel_top_k",
    "init_mask",
    "link_budget",
    "neuron_record",
    "percolate",
    "sample_links",
    "topology_names",
    "topology_parameters",
    "uniform_links",
]
