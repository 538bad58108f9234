"""The atlas: many real domain pairs, every method on each, and what a choice without target labels would cost.

    python -m benchmarks.atlas train [--part dev|test] [--quick] [--seeds 0,1,2]   # predictions; no target label is used
    python -m benchmarks.atlas open --part dev|test                                # opens labels, writes results/atlas_*.jsonl
    python -m benchmarks.atlas page                                                # docs/atlas.md from the lines

Training goes on where it stopped: a cell whose predictions are there is not trained again.
"""
